"""Components of ours as KFP's component.yaml, and back."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from argosy import Directory, File, FromSecret, Resources, component, load_component
from argosy.declare.template import render_template
from argosy.errors import UsageError
from argosy.manifest.emit import to_yaml
from argosy.reuse.kfp_export import kfp_component, left_out
from tests.reuse.builtin import ENTRIES


class Made(NamedTuple):
    """What comes out.

    Args:
        model: the file.
        grade: how good.
    """

    model: Annotated[File, "model.onnx"]
    folder: Directory
    grade: Literal["good", "bad"]
    score: float | None


@component(
    image="example/make:1",
    resources=Resources(cpu="1"),
    env={"MODE": "fast", "TOKEN": FromSecret("registry", "token")},
)
def make(
    data: File,
    epochs: int | None = None,
    sizes: list[int] = [1, 2],  # noqa: B006 - a declaration, never changed
    options: dict[str, Any] | None = None,
    fast: bool = True,
    empty: str = "",
) -> Made:
    """Make it.

    At length.

    Args:
        data: what from.
    """
    raise NotImplementedError


def test_they_are_all_there(repository: Path) -> None:
    declared = [f for f in (repository / "components").rglob("*.py") if "\n@component" in f.read_text()]
    assert len(ENTRIES) == len(declared) > 0


@pytest.mark.parametrize("name", [*ENTRIES, "make"])
def test_export_and_load_keep_interface_and_command(name: str) -> None:
    ours = ENTRIES.get(name, make)
    loaded = load_component(to_yaml(kfp_component(ours)))
    assert loaded.interface == ours.interface
    before, after = (render_template(c, name)["container"] for c in (ours, loaded))
    assert [after[k] for k in ("image", "command", "args")] == [
        before[k] for k in ("image", "command", "args")
    ]


def test_what_nobody_gives_is_left_to_the_step() -> None:
    loaded = load_component(to_yaml(kfp_component(make)))
    args = render_template(loaded.for_call((), {"data": "x"}), "make")["container"]["args"]
    assert not [a for a in args if a.startswith(("--epochs", "--options"))]
    assert "--empty={{inputs.parameters.empty}}" in args


def test_descriptions_travel() -> None:
    content = kfp_component(make)
    assert content["description"] == "Make it.\n\nAt length."
    assert content["inputs"][0]["description"] == "what from."
    assert content["outputs"][0]["description"] == "the file."


def test_what_kfp_has_on_its_task_is_named() -> None:
    assert left_out(make) == ["resources", "env TOKEN"]
    assert kfp_component(make)["implementation"]["container"]["env"] == {"MODE": "fast"}


def test_a_component_of_kfp_is_not_exported_again() -> None:
    loaded = load_component(to_yaml(kfp_component(make)))
    with pytest.raises(UsageError, match="make comes from <text>; use that file"):
        kfp_component(loaded)
