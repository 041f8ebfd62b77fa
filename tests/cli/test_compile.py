"""`argosy compile` as a command: what it prints, writes, annotates and refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ARGOSY = Path(sys.executable).with_name("argosy")
STEPS = """
import couler.argo as couler
from argosy import component, pipeline

@component(image="example/steps:1")
def say(text: str) -> None:
    '''Say it.'''

"""


def argosy(folder: Path, *args: str, settings: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"ARGOSY_SETTINGS": settings} if settings else {})}
    return subprocess.run(
        [ARGOSY, *args], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pipeline in it."""
    (tmp_path / "greet_all.py").write_text(
        STEPS + "@pipeline()\ndef greet(who: str = 'all'):\n    say(text=who)\n"
    )
    return tmp_path


@pytest.fixture
def required(folder: Path) -> Path:
    """A folder whose pipeline's parameter has no default."""
    file = folder / "greet_all.py"
    file.write_text(file.read_text().replace("who: str = 'all'", "who: str"))
    return folder


def test_a_required_parameter_needs_a_value_before_it_is_a_workflow(required: Path) -> None:
    done = argosy(required, "compile", "greet_all.py")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "greet_all.py:" in done.stderr and "'who' has no default" in done.stderr
    assert "-p who=VALUE, or compile with --kind WorkflowTemplate" in done.stderr


@pytest.mark.parametrize("args", [["-p", "who=all"], ["--kind", "WorkflowTemplate"]])
def test_a_required_parameter_compiles_to_what_lints_clean(required: Path, args: list[str]) -> None:
    done = argosy(required, "compile", "greet_all.py", *args)
    assert done.returncode == 0, done.stderr
    assert "- name: who\n" in done.stdout
    (required / "greet.yaml").write_text(done.stdout)
    assert argosy(required, "lint", "greet.yaml").returncode == 0


def test_an_unknown_parameter_names_the_nearest(folder: Path) -> None:
    done = argosy(folder, "compile", "greet_all.py", "-p", "whom=all")
    assert "unknown parameter 'whom'" in done.stderr and "did you mean 'who'?" in done.stderr


def test_a_pipeline_that_calls_nothing_is_refused_on_its_line(folder: Path) -> None:
    (folder / "calls_nothing.py").write_text(STEPS + "@pipeline\ndef idle():\n    pass\n")
    done = argosy(folder, "compile", "calls_nothing.py")
    assert done.returncode == 2
    assert "calls_nothing.py:9: the pipeline 'idle' has no step; call a component" in done.stderr


def test_it_is_written_then_unchanged_then_checked(folder: Path) -> None:
    assert "greet.yaml: written" in argosy(folder, "compile", "greet_all.py", "-o", "out").stderr
    assert "greet.yaml: unchanged" in argosy(folder, "compile", "greet_all.py", "-o", "out").stderr
    assert argosy(folder, "compile", "greet_all.py", "-o", "out", "--check").returncode == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "greet.code.yaml",
        "greet.template.yaml",
        "greet.yaml",
    ]


def test_code_that_no_step_needs_any_more_does_not_stay_beside_the_manifest(folder: Path) -> None:
    assert argosy(folder, "compile", "greet_all.py", "-o", "out").returncode == 0
    program = folder / "greet_all.py"
    program.write_text(program.read_text().replace("@component(", '@component(code="image", '))
    checked = argosy(folder, "compile", "greet_all.py", "-o", "out", "--check")
    assert checked.returncode == 1
    assert "out/greet.code.yaml: no step needs this code any more" in checked.stdout
    done = argosy(folder, "compile", "greet_all.py", "-o", "out")
    assert "greet.code.yaml: removed, no step needs it any more" in done.stderr
    assert not (folder / "out" / "greet.code.yaml").exists()
    (folder / "out" / "greet.code.yaml").write_text("kind: ConfigMap\ndata: {mine: kept}\n")
    assert argosy(folder, "compile", "greet_all.py", "-o", "out").returncode == 0
    assert (folder / "out" / "greet.code.yaml").exists()


@pytest.mark.parametrize("words", [["compile"], ["graph"], ["export", "library"]])
def test_a_dash_is_standard_output(folder: Path, words: list[str]) -> None:
    plain, dashed = (argosy(folder, *words, "greet_all.py", *more) for more in ((), ("-o", "-")))
    assert (dashed.returncode, dashed.stdout) == (0, plain.stdout)
    assert not (folder / "-").exists()


@pytest.mark.parametrize("name", ["man/x.yaml", "x.json", "notes"])
def test_a_files_name_is_no_folder_to_compile_into(folder: Path, name: str) -> None:
    (folder / "notes").write_text("mine")
    done = argosy(folder, "compile", "greet_all.py", "-o", name)
    parent = Path(name).parent
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"-o '{name}' is a file" in done.stderr and f"'-o {parent}' writes NAME.yaml" in done.stderr
    assert not (folder / "man").exists() and (folder / "notes").read_text() == "mine"


def test_a_difference_is_an_annotation_on_its_line(folder: Path) -> None:
    argosy(folder, "compile", "greet_all.py", "-o", "out", "--kind", "Workflow")
    file = folder / "out" / "greet.yaml"
    file.write_text(file.read_text().replace("entrypoint: main", "entrypoint: start"))
    line = file.read_text().splitlines().index("  entrypoint: start") + 1
    words = ("compile", "greet_all.py", "-o", "out", "--kind", "Workflow", "--check", "--format", "github")
    done = argosy(folder, *words)
    assert done.returncode == 1
    assert done.stdout.startswith(
        f"::error file=out/greet.yaml,line={line},title=argosy::not what the pipeline"
    )


def test_a_mistake_is_an_annotation_on_the_users_line(folder: Path) -> None:
    (folder / "wrong.py").write_text(STEPS + "@pipeline()\ndef wrong():\n    say(txt='a')\n")
    done = argosy(folder, "compile", "wrong.py", "--format", "github")
    assert done.returncode == 2
    assert done.stdout == (
        "::error file=wrong.py,line=11,title=argosy::"
        "say() got an undeclared input 'txt'; did you mean 'text'?\n"
    )
    assert done.stderr.count("\n") == 1


def test_an_error_of_the_users_own_code_names_its_line(folder: Path) -> None:
    (folder / "fails.py").write_text(STEPS + "@pipeline()\ndef fails():\n    say(text=str(1 / 0))\n")
    done = argosy(folder, "compile", "fails.py")
    assert done.returncode == 2
    assert "fails.py:11: ZeroDivisionError: division by zero" in done.stderr


def test_what_is_not_valid_is_not_written(folder: Path) -> None:
    program = (
        "@pipeline()\ndef odd():\n    couler.set_dependencies(lambda: say(text='b'), dependencies='a &&')\n"
    )
    (folder / "odd_one.py").write_text(STEPS + program)
    done = argosy(folder, "compile", "odd_one.py", "-o", "out")
    assert done.returncode == 2
    assert "odd: spec.templates[0].dag.tasks[0].depends: ARG" in done.stderr
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("program", "place", "problem"),
    [
        (
            "@pipeline(spec={'foo': 1})\ndef odd():\n    say(text='b')\n",
            1,
            "odd: spec.foo: ARG005 'foo' is not a field of WorkflowSpec",
        ),
        (
            "@component(image='x', template={'foo': 1})\ndef other() -> None: ...\n"
            "@pipeline\ndef odd():\n    other()\n",
            1,
            "odd: spec.templates[1].foo: ARG005",
        ),
        (
            "@pipeline\ndef odd():\n    say(text='a')\n"
            "    couler.set_dependencies(lambda: say(text='b'), dependencies='a &&')\n",
            4,
            "odd: spec.templates[0].dag.tasks[1].depends: ARG",
        ),
        (
            "@pipeline\ndef odd():\n    couler.map(lambda n: (say(text='b'),\n"
            "        couler.set_dependencies(lambda: say(text='b'), dependencies='a &&')), [1, 2])\n",
            4,
            "odd: spec.templates[1].dag.tasks[1].depends: ARG",
        ),
        (
            "@pipeline\ndef odd():\n    couler.run_container(image='a', command=['b'], working_dir=[1])\n",
            3,
            "odd: spec.templates[1].container.workingDir: ARG",
        ),
        (
            "@pipeline(schedule=Schedule('61 * * * *'))\ndef odd():\n    say(text='b')\n",
            1,
            "schedule: '61 * * * *' is no cron expression: minute '61' is outside of 0 to 59",
        ),
    ],
)
def test_what_is_not_valid_is_told_on_the_users_line(
    folder: Path, program: str, place: int, problem: str
) -> None:
    head = STEPS + "from argosy import Schedule\n"
    (folder / "odd_one.py").write_text(head + program)
    done = argosy(folder, "compile", "odd_one.py")
    assert done.returncode == 2
    assert f"odd_one.py:{head.count(chr(10)) + place}: {problem}" in done.stderr


def test_a_manifest_too_large_for_kubernetes_is_refused_with_a_way_out(folder: Path) -> None:
    program = "@pipeline()\ndef big():\n    for n in range(4000):\n        say(text=str(n) * 200)\n"
    (folder / "big_one.py").write_text(STEPS + program)
    done = argosy(folder, "compile", "big_one.py", "-o", "out")
    assert done.returncode == 2
    assert "MiB, and Kubernetes takes 1.5 MiB at most; loop with couler.map" in done.stderr
    assert not (folder / "out").exists()


def test_an_installations_settings_are_found(folder: Path) -> None:
    (folder / "argosy.yaml").write_text("namespace: ml\n")
    assert "  namespace: ml\n" in argosy(folder, "compile", "greet_all.py").stdout
    (folder / "other.yaml").write_text("namespce: ml\n")
    refused = argosy(folder, "compile", "greet_all.py", settings="other.yaml")
    assert refused.returncode == 2
    assert "unknown setting 'namespce'; did you mean 'namespace'" in refused.stderr


def test_settings_that_are_a_link_to_nothing_are_told(folder: Path) -> None:
    (folder / "argosy.yaml").symlink_to("nowhere")
    done = argosy(folder, "compile", "greet_all.py")
    said = "argosy: cannot read the settings 'argosy.yaml': No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["compile", "greet_all.py", "-o"], 2), (["build", "greet_all.py", "--dockerfile"], 1)],
)
def test_a_folder_that_cannot_be_made_is_one_line(folder: Path, words: list[str], code: int) -> None:
    (folder / "taken").write_text("a file\n")
    done = argosy(folder, *words, "taken/out")
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert "taken" in done.stderr and "Not a directory" in done.stderr


HIDDEN = """
import functools
import couler.argo as couler
from argosy import component, pipeline

def loud(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner

@loud
@component(image="a:1")
def say() -> None:
    print("x")

@pipeline
def hidden():
    say()
    couler.run_container(image="a:1", command=["x"], image_pull_policy="Always", step_name="pull")
"""


def test_a_component_below_another_decorator_is_told_to_be_on_top(folder: Path) -> None:
    (folder / "hidden.py").write_text(HIDDEN)
    done = argosy(folder, "compile", "hidden.py")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "hidden.py:" in done.stderr and "put @component on top" in done.stderr
    (folder / "hidden.py").write_text(HIDDEN.replace("\n@loud\n", "\n"))
    done = argosy(folder, "compile", "hidden.py")
    assert "imagePullPolicy: Always" in done.stdout, done.stderr
