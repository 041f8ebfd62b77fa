"""`argosy.images.yaml`: the images that `argosy build` made, by digest, and the steps that they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from argosy.code.build.code import code_of, sdk_digest
from argosy.code.build.errors import BuildError
from argosy.code.build.lock import write_beside
from argosy.declare.component import Component
from argosy.errors import UsageError
from argosy.manifest.emit import to_yaml

_HEADER = "# Written by `argosy build`: compile and submit write these images. Remove it to build no more.\n"


@dataclass(frozen=True)
class Pin:
    """One image.

    Attributes:
        image: its name, by digest.
        replaces: the images that stand in the program, in whose place it is written.
        packages: what was installed in it.
        steps: the digest of each step's code, by the name of its template.
    """

    image: str
    replaces: tuple[str, ...]
    packages: tuple[str, ...]
    steps: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "image": self.image,
            "replaces": list(self.replaces),
            "packages": list(self.packages),
            "steps": dict(sorted(self.steps.items())),
        }


def read_pins(file: Path) -> list[Pin]:
    """The images of a project; none where there is no such file.

    Raises:
        UsageError: the file is not what argosy wrote.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or []
        return [Pin(e["image"], tuple(e["replaces"]), tuple(e["packages"]), e["steps"]) for e in content]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise UsageError(f"'{file}' is not what argosy wrote; remove it and run 'argosy build'") from None


def write_pins(file: Path, new: Sequence[Pin]) -> None:
    """Note new images; of older ones, the steps that are not in them."""
    built = {(image, step) for pin in new for image in pin.replaces for step in pin.steps}
    older = []
    for pin in read_pins(file):
        steps = {
            name: digest
            for name, digest in pin.steps.items()
            if not any((image, name) in built for image in pin.replaces)
        }
        if steps:
            older.append(replace(pin, steps=steps))
    entries = sorted((p.to_dict() for p in (*older, *new)), key=lambda e: str(e["image"]))
    write_beside(file, _HEADER + to_yaml(entries))  # type: ignore[arg-type]


def pinned(
    manifest: dict[str, Any], components: Mapping[str, Component[Any, Any]], file: Path
) -> dict[str, Any]:
    """A compiled manifest with `image@sha256:...` for every step that `argosy build` made an image for.

    Raises:
        UsageError: the code of such a step, or its packages, have changed since.
    """
    pins = read_pins(file)
    if not pins:
        return manifest
    spec = manifest["spec"].get("workflowSpec", manifest["spec"])
    templates = [_pinned(t, components.get(t["name"]), pins, file) for t in spec["templates"]]
    inner = {**spec, "templates": templates}
    outer = {**manifest["spec"], "workflowSpec": inner} if "workflowSpec" in manifest["spec"] else inner
    return {**manifest, "spec": outer}


def _pinned(
    template: dict[str, Any], component: Component[Any, Any] | None, pins: Sequence[Pin], file: Path
) -> dict[str, Any]:
    container = template.get("container")
    if component is None or not container:
        return template
    name = template["name"]
    pin = next((p for p in pins if container.get("image") in p.replaces and name in p.steps), None)
    if pin is None:
        return template
    changed = _change(component, pin, pin.steps[name])
    if changed:
        raise UsageError(
            f"{file.name}: the {changed} of step '{name}' changed since its image was built; run "
            "'argosy build' again, submit with --build, or remove the file"
        )
    return {**template, "container": {**container, "image": pin.image}}


def _change(component: Component[Any, Any], pin: Pin, digest: str) -> str:
    if not {*component.container.packages} <= {*pin.packages}:
        return "packages"
    try:
        return "" if step_digest(component) == digest else "code"
    except (BuildError, OSError):
        return "code"


def step_digest(component: Component[Any, Any]) -> str:
    """The digest of the code that one step needs; for Argosy's own steps that is all of it."""
    return sdk_digest() if component.module.startswith("argosy.") else code_of([component]).digest
