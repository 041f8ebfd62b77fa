"""From a word on the command line to a pipeline or a manifest."""

from pathlib import Path

import pytest

from argosy.compose.loader import built_in_names, load_manifest, load_pipeline
from argosy.errors import ArgosyError, ComposeError, ManifestError, UsageError

PIPELINE = """
from argosy import component, pipeline

@component(image="example/steps:1")
def greet(who: str) -> None:
    '''Greet.'''

@pipeline()
def hello(who: str = "world"):
    greet(who=who)
"""


def test_built_in_pipelines_are_found_by_name() -> None:
    assert built_in_names() == [
        "deploy-model-image-classification",
        "pipeline-image-classification",
        "pipeline-image-classification-by-reference",
        "prune-versions",
        "rollback-model",
        "sync-triton",
        "train-model-image-classification",
    ]
    for name in built_in_names():
        assert load_pipeline(name).interface.name == name


def test_a_file_with_one_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "one_pipeline.py"
    file.write_text(PIPELINE)
    assert load_pipeline(str(file)).interface.name == "hello"


def test_a_file_with_two_pipelines_wants_a_name(tmp_path: Path) -> None:
    file = tmp_path / "two_pipelines.py"
    file.write_text(PIPELINE + "\n@pipeline()\ndef other():\n    greet(who='x')\n")
    with pytest.raises(UsageError, match=r"name one as .*:FUNCTION"):
        load_pipeline(str(file))
    assert load_pipeline(f"{file}:other").interface.name == "other"
    with pytest.raises(UsageError, match=r"no pipeline 'othr'; did you mean 'other'\?"):
        load_pipeline(f"{file}:othr")


def test_a_manifest_is_no_pipeline() -> None:
    with pytest.raises(UsageError, match=r"'w.yaml' is a manifest, as pipelines compile to"):
        load_pipeline("w.yaml")


def test_reading_a_file_runs_no_step(tmp_path: Path) -> None:
    file = tmp_path / "composed_at_the_top.py"
    file.write_text(PIPELINE + f"\nopen({str(tmp_path / 'read')!r}, 'w')\ngreet(who='x')\n")
    with pytest.raises(
        ComposeError, match=r"composed_at_the_top\.py:\d+: greet\(\) is called while .*couler run"
    ):
        load_pipeline(str(file))
    assert (tmp_path / "read").exists()


@pytest.mark.parametrize(
    ("name", "text", "fragment"),
    [
        ("none_at_all", "x = 1\n", "declares no pipeline"),
        ("bad_syntax", "def (:\n", "bad_syntax.py:1: "),
        (
            "bad_import",
            "\nimport nothing_of_that_name\n",
            "bad_import.py:2: ModuleNotFoundError.*; install it here, or",
        ),
        (
            "bad_noun",
            "import argosy\n\nargosy.Retry(limit=-1)\n",
            "bad_noun.py:3: retry: limit -1 is below 0",
        ),
        (
            "bad_field",
            "import argosy\nargosy.Retry(limits=1)\n",
            "bad_field.py:2: Retry\\(\\) has no 'limits'; did you mean 'limit'",
        ),
        (
            "missing_field",
            "import argosy\nargosy.FromSecret('warehouse')\n",
            "missing_field.py:2: FromSecret\\(\\) misses 'key'; it takes name, key, optional",
        ),
        (
            "not_called",
            "from argosy import approval\nfrom tests.compose.steps import make\nmake.number\n",
            "not_called.py:3: make is a component that is not called, and has no 'number'; write make\\(",
        ),
        (
            "bad_status",
            "import couler.argo as couler\ncouler.WFStatus.Fail\n",
            "bad_status.py:2: WFStatus has no 'Fail'; did you mean 'Failed'",
        ),
        (
            "too_early",
            "def f():\n    print(a)\n    a = 1\nf()\n",
            "too_early.py:2: UnboundLocalError.*; call the step that gives it above this line",
        ),
        ("bad_code", "x = 1\ny = x / 0\n", "bad_code.py:2: ZeroDivisionError"),
        (
            "exit_0",
            "import sys\nsys.exit(0)\n",
            r"exit_0.py:2: sys.exit\(0\) ends Python while the file",
        ),
        ("exit_text", "import sys\nsys.exit('bye')\n", r"exit_text.py:2: sys.exit\('bye'\) ends Python"),
        ("exit_3", "def f():\n    raise SystemExit(3)\nf()\n", r"exit_3.py:2: sys.exit\(3\) ends Python"),
        ("json", "", "a module 'json' exists already"),
    ],
)
def test_refused_files(tmp_path: Path, name: str, text: str, fragment: str) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    with pytest.raises(ArgosyError, match=fragment) as caught:
        load_pipeline(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("train-model-image-clasification", "did you mean 'train-model-image-classification'?"),
        ("xyz", "there is: deploy-model"),
        ("nowhere.py", "there is no file 'nowhere.py'"),
    ],
)
def test_unknown_pipelines(name: str, fragment: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_pipeline(name)
    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"a: [1\n", r"workflow.yaml:2: not valid YAML"),
        (b"kind: Workflow\n---\nkind: Workflow\n", "holds 2 documents"),
        (b"", "holds 0 documents"),
        (b"- 1\n", "no 'kind'"),
        (b"\xff\xfe\x00", "not valid UTF-16"),
        (b"[" * 20_000, "levels deep"),
        (b"kind: Workflow\nkind: Workflow\n", r"workflow.yaml:2: key 'kind' is here a second time"),
        (
            b"kind: Workflow\nspec:\n  entrypoint: on\n",
            r"workflow.yaml:3: 'on' is no text .*; write \"on\"",
        ),
        (
            b"kind: Workflow\nmetadata:\n  annotations:\n    day: 08\n",
            r"workflow.yaml:4: '08' is no text to Argo, as metadata.annotations.day ",
        ),
    ],
)
def test_refused_manifests(tmp_path: Path, content: bytes, fragment: str) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_bytes(content)
    with pytest.raises(ManifestError, match=fragment):
        load_manifest(file)


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(ArgosyError, match="cannot read"):
        load_manifest(tmp_path / "none.yaml")


def test_a_manifest_is_read_as_argo_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text("kind: Workflow\nspec:\n  labels: {on: 12:30}\n  priority: 1_0\n  day: 2024-01-01\n")
    assert load_manifest(file)["spec"] == {"labels": {"true": "12:30"}, "priority": 10, "day": "2024-01-01"}


def test_a_file_that_is_neither_python_nor_a_manifest_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/regions.csv", "flows/train.py", "Makefile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    told = {
        "data/regions.csv": "'data/regions.csv' is no Python file (.py) and no manifest (.yaml, .yml, .json)",
        "Makefile": "'Makefile' is no Python file (.py) and no manifest (.yaml, .yml, .json)",
        "flows/train": "there is no file 'flows/train'; did you mean 'flows/train.py'?",
        "flows/": "'flows/' is a folder; name a file in it, as in 'flows/train.py'",
        "flows": "'flows' is a folder; name a file in it, as in 'flows/train.py'",
    }
    for name, message in told.items():
        with pytest.raises(UsageError) as caught:
            load_pipeline(name)
        assert str(caught.value) == message
