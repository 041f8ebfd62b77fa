"""`argosy components`, and the page that it makes."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from argosy.catalogue.discover import find_components, pick
from argosy.catalogue.listing import describe, prose, table
from argosy.cli.components import components
from argosy.errors import UsageError

MINE = """
from argosy import File, component, load_component, template_ref

@component(image="example/one:1")
def one(file: File, note: str | None = None, text: str = "a|b") -> None:
    \"\"\"First: a <tag> | a bar.

    Args:
        text: any.
    \"\"\"

@template_ref("team", "two")
def two(n: int = 3) -> None:
    \"\"\"Second.\"\"\"

three = load_component("name: three\\nimplementation: {container: {image: example/three}}\\n")
"""


def shown(*words: str) -> str:
    done = CliRunner().invoke(components, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a user's own, beside modules that cannot be imported."""
    name = f"mine_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / name
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "__init__.py").write_text("")
    (folder / "inner" / "steps.py").write_text(MINE)
    (folder / "heavy.py").write_text("import a_library_that_is_not_installed\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


def test_the_page_in_docs_is_what_the_declarations_say(repository: Path) -> None:
    page = (repository / "docs" / "components.md").read_text()
    assert shown("--output", "markdown") == page, (
        "run 'argosy components --output markdown > docs/components.md'"
    )


def test_every_component_is_listed_once_under_its_group() -> None:
    lines = shown().splitlines()
    groups = [line for line in lines if line and not line.startswith(" ")]
    assert groups == ["deployment", "notification", "training"]
    names = [line.split()[0] for line in lines if line.startswith(" ")]
    assert len(names) == len(set(names)) == 19
    assert {"train", "export-onnx", "verify-deployment"} <= set(names)


def test_every_input_and_output_is_described() -> None:
    """A docstring that is indented otherwise than its neighbours lost all its descriptions once."""
    silent = [
        f"{entry.component.interface.name}: {port.name}"
        for entry in find_components()
        for port in (*entry.component.interface.inputs, *entry.component.interface.outputs)
        if not port.description
    ]
    assert silent == []


@pytest.mark.parametrize("name", ["export-onnx", "export_to_onnx"])
def test_one_is_shown_in_full_by_either_name(name: str) -> None:
    text = shown(name)
    assert text.startswith("export-onnx: Convert one version")
    assert "from argosy.components.training import export_to_onnx" in text
    assert "CPU 1-2, memory 2Gi-4Gi" in text
    assert "python -m argosy.components.training.export_to_onnx" in text


def test_json_says_everything() -> None:
    found: list[dict[str, Any]] = json.loads(shown("--output", "json"))
    version = next(c for c in found if c["name"] == "determine-version")
    assert version["outputs"][0]["type"] == "int"
    assert {p["name"]: p.get("default", "-") for p in version["inputs"]}["force-version"] is None
    train = json.loads(shown("train", "--output", "json"))
    assert train["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert train["volumes"][0]["mountPath"] == "/dev/shm"


@pytest.mark.parametrize("form", ["folder", "file", "module"])
def test_a_users_own_are_found_without_importing_the_rest(
    mine: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)
    target = {"folder": str(mine), "file": str(mine / "inner" / "steps.py"), "module": mine.name}[form]
    found = {e.name: describe(e) for e in find_components(target)}
    assert list(found) == ["one", "three", "two"]
    assert found["one"]["import"] == f"from {mine.name}.inner.steps import one"
    assert found["two"]["templateRef"] == {"name": "team", "template": "two"}
    assert found["three"]["origin"] == "<text>"
    assert "'two' of 'team'" in shown("two", "--module", target)


def test_markdown_keeps_bars_and_angle_brackets(mine: Path) -> None:
    text = shown("one", "--module", str(mine), "--output", "markdown")
    assert "First: a &lt;tag> | a bar." in text
    assert "| `text` | str | `a\\|b` | any. |" in text
    assert "| `note` | str \\| none | empty |  |" in text
    assert prose("`a<b` c<d") == "`a<b` c&lt;d"
    assert table(("a",), [("x\ny",)]).endswith("| x y |")


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("trian", None, "unknown component 'trian'; did you mean 'train'"),
        (None, "no.such.module", "there is no module, folder or file 'no.such.module'"),
        (None, "nowhere.py", "there is no file 'nowhere.py'"),
        (None, "docs/components.md", "'docs/components.md' is no Python file (.py), no module and no folder"),
        (None, "argosy.errors", "'argosy.errors' declares no component"),
    ],
)
def test_what_is_not_there_is_one_line(
    name: str | None, module: str | None, message: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    with pytest.raises(UsageError) as caught:
        pick(find_components(module), name or "")
    assert message in str(caught.value)


def test_a_file_named_as_one_of_pythons_modules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")
    with pytest.raises(UsageError, match=r"json\.py: a module 'json' exists already; rename the file"):
        find_components(str(tmp_path / "json.py"))


def test_an_error_in_a_users_module_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_steps.py").write_text("from argosy import component\n\n1 / 0\n")
    with pytest.raises(UsageError, match=r"broken_steps\.py:3: ZeroDivisionError"):
        find_components(str(tmp_path / "broken_steps.py"))


def test_a_command_is_one_line_and_its_file_is_named_as_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flows").mkdir()
    container = 'container: {image: example/count, command: [sh, -c, "wc\\n\\tdone"]}'
    (tmp_path / "count.yaml").write_text(f"name: count\nimplementation:\n  {container}\n")
    program = 'from argosy import load_component\n\ncount = load_component("../count.yaml")\n'
    (tmp_path / "flows" / "counting_by_file.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    text = shown("--module", "flows/counting_by_file.py", "count")
    assert "  command  sh -c 'wc  done'\n" in text
    assert "  from     count.yaml\n" in text
