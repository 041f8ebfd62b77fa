"""`argosy lint` at the command line: exit codes, formats, switches."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from argosy.cli.lint import lint
from argosy.errors import ArgosyError
from tests.lint.cases import FIXTURES

BAD, GOOD = str(FIXTURES / "ARG301" / "bad.yaml"), str(FIXTURES / "ARG301" / "good.yaml")
WARNING = str(FIXTURES / "ARG701" / "bad.yaml")


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(lint, arguments, input=stdin)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([GOOD], 0),
        ([BAD], 1),
        ([GOOD, BAD], 1),
        ([WARNING], 0),
        ([WARNING, "--strict"], 1),
        ([WARNING, "--error-on-warning"], 1),
        ([BAD, "--ignore", "ARG3"], 0),
        ([BAD, "--select", "arg2,ARG5"], 0),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert run(*arguments).exit_code == code


@pytest.mark.parametrize(
    "arguments", [[], ["/nowhere.yaml"], [GOOD, "--select", "X1"], ["--explain", "ARG998"]]
)
def test_unusable_arguments(arguments: list[str]) -> None:
    error = run(*arguments).exception
    assert isinstance(error, ArgosyError) and error.exit_code == 2


def test_an_unknown_option_is_exit_code_2() -> None:
    assert run("--format", "xml", GOOD).exit_code == 2


def test_json_is_a_list_also_when_it_is_clean() -> None:
    assert json.loads(run(GOOD, "--format", "json").output) == []
    (found,) = json.loads(run(BAD, "--format", "json").output)
    assert found.keys() >= {"file", "line", "rule", "path", "message"} and found["file"] == BAD


def test_quiet_shows_errors_only() -> None:
    assert run(WARNING, "--quiet").output == "" and "ARG701" in run(WARNING).output


def test_standard_input() -> None:
    result = run("-", stdin=Path(BAD).read_text())
    assert result.exit_code == 1 and result.output.startswith("<stdin>:9:")


def test_the_list_and_a_page() -> None:
    assert "ARG301 error    input-not-supplied" in run("--list").output
    assert "Why:" in run("--explain", "arg301").output


def test_fix_edits_in_place(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text((FIXTURES / "ARG006" / "bad.yaml").read_text())
    assert run(str(file), "--fix").exit_code == 0
    assert 'schedules: ["0 2 * * *"]' in file.read_text()


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing yet\n", "---\n---\n", "null\n"])
def test_a_file_that_holds_nothing_is_a_finding(tmp_path: Path, text: str) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text(text)
    done = run(str(file))
    assert done.exit_code == 1 and "ARG002" in done.output and "holds no manifest" in done.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\n", "1:1: error ARG002 the document is no manifest: it has no kind"),
        ("apiVersion: v1\nkind: List\nitems: []\n", "ARG002 the list has no items"),
        ("apiVersion: v1\nkind: List\nitems: [null]\n", "3:9: error ARG002 item 0 of the list is no object"),
        ("apiVersion: argoproj/v1alpha1\nkind: Workflow\n", "1:1: error ARG003 there is no apiVersion"),
        ("apiVersion: aroproj.io/v1alpha1\nkind: WorkflowList\n", "ARG003 there is no apiVersion"),
        ("apiVersion: v1\nkind: ConfigMap\n", ""),
        ("apiVersion: example.com/v1\nkind: Workflow\nspec: {entrypoint: x}\n", ""),
    ],
)
def test_what_is_no_manifest_is_a_finding_and_another_kind_is_not(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(text)
    done = run(str(file))
    assert done.exit_code == bool(told) and told in done.output and bool(told) == bool(done.output)


LIST = """\
apiVersion: v1
kind: List
items:
- apiVersion: argoproj.io/v1alpha1
  kind: Workflow
  metadata: {generateName: x-}
  spec:
    entrypoint: nope
    foo: 1
    foo: 2
    templates: [{name: a, suspend: {}}]
- apiVersion: v1
  kind: ConfigMap
- apiVersion: argoproj.io/v1alpha1
  kind: WorkflowList
  items:
  - metadata: {generateName: y-}
    spec: {entrypoint: never, templates: [{name: a, suspend: {}}]}
"""


def test_each_object_of_a_list_is_looked_at_with_its_place(tmp_path: Path) -> None:
    done = run("-", "--quiet", "--format", "json", stdin=LIST)
    found = [(v["line"], v["rule"], v["path"]) for v in json.loads(done.output)]
    assert done.exit_code == 1 and found == [
        (8, "ARG202", "items[0].spec.entrypoint"),
        (10, "ARG004", "items[0].spec.foo"),
        (10, "ARG005", "items[0].spec.foo"),
        (18, "ARG202", "items[2].items[0].spec.entrypoint"),
    ]


def test_a_list_is_mended_as_its_objects_are(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(LIST.replace("    foo: 2\n", "").replace("foo: 1", "serviceaccountname: on"))
    run(str(file), "--fix")
    assert '    serviceAccountName: "on"\n' in file.read_text()


def test_an_empty_file_of_a_folder_is_a_finding_and_comments_alone_are_not(tmp_path: Path) -> None:
    (tmp_path / "comments.yaml").write_text("# kept for later\n")
    assert run(str(tmp_path)).exit_code == 0
    (tmp_path / "empty.yaml").touch()
    done = run(str(tmp_path))
    assert done.exit_code == 1 and "empty.yaml:1" in done.output and "comments.yaml" not in done.output


def test_nothing_on_standard_input_is_a_finding() -> None:
    assert run("-", stdin="").exit_code == 1


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    error = run(str(tmp_path)).exception
    assert isinstance(error, ArgosyError) and "holds no file to lint" in str(error)


PROGRAM = """
from argosy import Schedule, component, pipeline

@component(image="example/steps:latest")
def say(text: str) -> None: ...

@pipeline(schedule=Schedule("0 3 * * *"))
def nightly(who: str = "all"):
    say(text=who)

@pipeline  # argosy: ignore[ARG509]
def required(who: str):
    say(text=who)
"""


def test_a_python_file_is_linted_by_what_it_compiles_to(tmp_path: Path) -> None:
    file = tmp_path / "linted_program.py"
    file.write_text(PROGRAM)
    done = run(str(file), "--format", "json", "--select", "ARG509")
    found = json.loads(done.output)
    assert {(v["file"], v["line"]) for v in found} == {(str(file), 7)}
    assert [v["path"] for v in found] == ["spec.templates[1].container.image"]  # once for both its kinds
    named = run(f"{file}:required", "--format", "json", "--select", "ARG509")
    assert json.loads(named.output) == []


def test_a_python_file_that_does_not_compile_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "linted_badly.py"
    file.write_text(PROGRAM.replace("say(text=who)", "say(txt=who)"))
    error = run(str(file)).exception
    assert isinstance(error, ArgosyError) and "linted_badly.py:9: say() got an undeclared input" in str(error)


CALLS = """
import couler.argo as couler
from argosy import component, pipeline

@component(image="python:3.11-slim")
def say(text: str) -> None:
    '''Say it.'''

@pipeline
def calls():
    say(text="hello")
    couler.run_container(image="registry.example/tool:1.0", command=["python", "-m", "nowhere.at_all"])
"""


def test_a_module_that_neither_a_bundle_nor_a_known_image_has_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARGOSY_SETTINGS", raising=False)
    (tmp_path / "linted_calls.py").write_text(CALLS)
    result = run("linted_calls.py", "--select", "ARG512")
    assert result.output.count("ARG512") == 1
    assert "'nowhere.at_all' of 'calls' is in no bundle, and image 'registry.example/tool" in result.output
    (tmp_path / "argosy.yaml").write_text("codeInImages: [registry.example/]")
    assert run("linted_calls.py", "--select", "ARG512").output == ""
