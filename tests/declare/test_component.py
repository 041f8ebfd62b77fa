"""Declarations that look odd: each works, or is one line on the user's own line."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import argosy
from argosy import Resources, Retry, compile, component
from argosy.compose.loader import load_pipeline
from argosy.declare.container import AllOptions, ContainerOptions, ContainerSpec
from argosy.declare.pipeline import WorkflowOptions, WorkflowSpec
from argosy.errors import DeclarationError
from argosy.step.program import run_step

HEAD = "from argosy import component, pipeline\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a text as the module `odd`; forgets it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(text: str, name: str = "odd") -> ModuleType:
        (tmp_path / f"{name}.py").write_text(HEAD + text)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield written
    for name in ("odd", "fit"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("text", "place", "fragment"),
    [
        ("@component\ndef f() -> None: ...\n", 2, "write @component(image='python:3.11-slim')"),
        ("@component()\ndef f() -> None: ...\n", 2, "a component names its image"),
        ("@component('x:1')\ndef f() -> None: ...\n", 2, "write @component(image="),
        ("@component(image='x:1')\nasync def f() -> None: ...\n", 2, "is no 'async def'; write 'def'"),
        ("@component(image='x:1')\ndef f() -> int:\n    yield 1\n", 2, "does not yield"),
        ("f = component(image='x:1')(lambda: None)\n", 2, "a lambda has no name"),
        (
            "class A:\n    @component(image='x:1')\n    def f(self) -> None: ...\n",
            3,
            "a method cannot be a component",
        ),
        ("@component(image='x:1')\nclass A: ...\n", 2, "stands on a function, not on the class A"),
        (
            "@component(image='x:1')\n@pipeline\ndef f() -> None: ...\n",
            2,
            "stands on a function, not on <pipe",
        ),
        (
            "@pipeline\n@component(image='x:1')\ndef f() -> None: ...\n",
            2,
            "not on <component f>; declare the component by itself, and call it in a function under",
        ),
        ("@pipeline('nightly')\ndef f() -> None: ...\n", 2, "; write @pipeline(name='nightly')"),
        ("@pipeline\nasync def f() -> None: ...\n", 2, "f(): a pipeline is no 'async def'; write 'def'"),
        ("@component(image='x:1', timeout='soon')\ndef f() -> None: ...\n", 2, "'soon' is not a duration"),
        ("@component(image='x:1', timeout='1.5s')\ndef f() -> None: ...\n", 2, "no whole number of seconds"),
        ("@component(image='x:1', timeout=True)\ndef f() -> None: ...\n", 2, "no whole number of seconds"),
        (
            "@component(image='x:1', retires=3)\ndef f() -> None: ...\n",
            2,
            "no option 'retires'; did you mean 'retry'",
        ),
        ("@pipeline(timout=3)\ndef f() -> None: ...\n", 2, "no option 'timout'; did you mean 'timeout'?"),
        (
            "@pipeline(local={'b': 'maybe'})\ndef f(b: bool) -> None: ...\n",
            2,
            "local: 'b': 'maybe' is not 'true' or 'false'",
        ),
        ("@pipeline(local={'b': True})\ndef f(b: bool) -> None: ...\n", 2, "local: 'b': True is not a text"),
        ("@component(image='x:1')\ndef _f() -> None: ...\n", 2, "_f(): its name: '-f' is no name; write"),
        (
            f"@component(image='x:1')\ndef {'a' * 130}() -> None: ...\n",
            2,
            "of 130 characters; Argo takes 128",
        ),
        ("@pipeline(name='A_b')\ndef f() -> None: ...\n", 2, "at most 63: @pipeline(name='a-b')"),
        ("@pipeline\ndef Flow() -> None: ...\n", 2, "'Flow' is no name in Kubernetes"),
        ("@pipeline\nasync def f() -> None: ...\n", 2, "a pipeline is no 'async def'"),
        (
            "@component(image='x:1')\ndef f() -> None: ...\ng = f.options(nme='x')\n",
            4,
            "f.options(): there is no option 'nme'",
        ),
    ],
)
def test_it_is_refused_on_its_line(module: Any, text: str, place: int, fragment: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        module(text)
    message = str(caught.value)
    assert f"odd.py:{place}: " in message and fragment in message and "\n" not in message


@pytest.mark.parametrize(
    ("given", "seconds"), [(90, 90), ("90s", 90), ("1h30m", 5400), ("45", 45), ("500ms500ms", 1)]
)
def test_a_time_limit_is_seconds_or_a_duration(given: Any, seconds: int) -> None:
    assert ContainerSpec(image="x:1", timeout=given).timeout == seconds
    assert WorkflowSpec(timeout=given).timeout == seconds


LOCAL = """
def make(rate):
    @component(image='x:1')
    def fit(epochs: int = 1) -> None:
        print(rate)
    return fit

fit_fast = make(0.1)

@pipeline
def local():
    fit_fast()
"""


def test_a_closure_is_found_by_the_name_that_the_module_gives_it(module: Any) -> None:
    command = module(LOCAL).fit_fast.command
    assert command == ["python", "-m", "argosy.step", "odd:fit_fast"]


def test_a_closure_without_a_name_in_the_module_is_refused(module: Any) -> None:
    text = LOCAL.replace("fit_fast = make(0.1)", "").replace("fit_fast()", "make(0.1)()")
    with pytest.raises(DeclarationError) as caught:
        compile(module(text).local)
    assert "odd.py:4: fit() stands inside of make()" in str(caught.value)
    assert "move it to the top level of the module, and make 'rate' an input of it" in str(caught.value)


def test_a_component_under_another_name_is_called_by_that_name(module: Any) -> None:
    found = module("def f() -> None: ...\ntrain = component(image='x:1')(f)\n")
    assert found.train.command[-1] == "odd:train"
    assert found.train.options(name="again").command[-1] == "odd:train"


FIT = "@component(image='x:1')\ndef fit(n: int = 1) -> None:\n    print('fitted', n)\n"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("", ["argosy.step", "fit:fit"]),
        ("if __name__ == \"__main__\":\n    print('no entry point')\n", ["argosy.step", "fit:fit"]),
        ('if __name__ == "__main__":\n    fit.main()\n', ["fit"]),
    ],
)
def test_a_component_called_as_its_module(module: Any, tmp_path: Path, end: str, words: list[str]) -> None:
    command = module(FIT + end, "fit").fit.command
    assert command == ["python", "-m", *words]
    done = subprocess.run(
        [sys.executable, *command[1:], "--n=3"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "fitted 3\n"


def test_options_that_a_type_checker_knows_are_those_of_the_spec() -> None:
    assert set(AllOptions.__annotations__) == set(ContainerSpec.__dataclass_fields__)
    assert set(AllOptions.__annotations__) - set(ContainerOptions.__annotations__) == {"image"}
    assert set(WorkflowOptions.__annotations__) == set(WorkflowSpec.__dataclass_fields__)


def test_none_stands_for_an_empty_field() -> None:
    @component(image="x:1", resources=None, env=None, retry=None)
    def plain() -> None: ...

    assert plain.container == ContainerSpec(image="x:1", resources=Resources(), env={})


def test_a_file_below_the_project_is_compiled_to_the_name_that_a_container_imports(tmp_path: Path) -> None:
    folder = tmp_path / "someproj" / "flows"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    (folder / "inline_g.py").write_text(HEAD + FIT + "@pipeline\ndef only():\n    fit()\n")
    manifest = compile(load_pipeline(str(folder / "inline_g.py")))
    assert manifest["spec"]["templates"][1]["container"]["command"][-1] == "someproj.flows.inline_g:fit"


def test_argosy_is_a_program_of_python(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "argosy", "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == f"argosy, version {argosy.__version__}\n"


def test_a_module_of_the_current_directory_is_taken_by_its_dotted_name(tmp_path: Path) -> None:
    folder = tmp_path / "otherproj" / "flows"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(
        HEAD + FIT + "@pipeline\ndef one():\n    fit()\n@pipeline\ndef two():\n    fit()\n"
    )
    command = [sys.executable, "-m", "argosy", "compile"]
    done = subprocess.run(
        [*command, "otherproj.flows.train:two"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "generateName: two-" in done.stdout and "otherproj.flows.train:fit" in done.stdout
    done = subprocess.run([*command, "otherproj.flows.tain"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no module 'otherproj.flows.tain'" in done.stderr


@pytest.mark.parametrize(
    ("retry", "told"),
    [
        (
            Retry(),
            "Runs again up to 2 times after the loss of its pod, not after an exit code of its own (OnError)",
        ),
        (
            Retry(limit=1, policy="OnFailure", duration=None),
            "Runs again once after an exit code other than 0 (OnFailure).",
        ),
    ],
)
def test_the_help_of_a_component_says_when_it_runs_again(
    retry: Retry, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @component(image="x:1", retry=retry)
    def retried() -> None:
        """Do it."""

    assert run_step(retried, ["--help"]) == 0
    assert told in " ".join(capsys.readouterr().out.split())
