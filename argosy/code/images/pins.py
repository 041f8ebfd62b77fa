"""`argosy.images.yaml`: the images that `argosy build` made, by digest, and the steps that they hold."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from argosy.code.images import BuildError
from argosy.code.images.code import code_of, sdk_digest
from argosy.code.images.packages import alone_in, write_whole
from argosy.code.images.recipe import module_of_step
from argosy.compose.settings import IMAGES, Settings
from argosy.errors import UsageError
from argosy.manifest.code import OURS, declared_packages, step_of
from argosy.manifest.emit import to_yaml
from argosy.manifest.parts import templates_in, with_templates

_HEADER = "# Written by `argosy build`: compile and submit write these images. Remove it to build no more.\n"


@dataclass(frozen=True)
class Pin:
    """One image.

    Attributes:
        image: its name, by digest.
        replaces: the images that stand in the program, in whose place it is written.
        packages: what was installed in it.
        steps: the digest of each step's code, by `MODULE:FUNCTION`.
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
        found = [Pin(e["image"], tuple(e["replaces"]), tuple(e["packages"]), e["steps"]) for e in content]
        if all(":" in reference for pin in found for reference in pin.steps):
            return found
        raise ValueError("steps by other names")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise UsageError(f"'{file}' is not what argosy wrote; remove it and run 'argosy build'") from None


def write_pins(file: Path, new: Sequence[Pin]) -> None:
    """Note new images; of older ones, the steps that are not in them."""
    with alone_in(file.parent):
        entries = sorted(
            (p.to_dict() for p in (*_without(read_pins(file), new), *new)), key=lambda e: str(e["image"])
        )
        write_whole(file, _HEADER + to_yaml(entries))  # type: ignore[arg-type]


def _without(older: Iterable[Pin], new: Sequence[Pin]) -> Iterator[Pin]:
    """Older images with the steps that are in none of the new ones."""
    built = {(image, step) for pin in new for image in pin.replaces for step in pin.steps}
    for pin in older:
        steps = {s: d for s, d in pin.steps.items() if not any((i, s) in built for i in pin.replaces)}
        if steps:
            yield replace(pin, steps=steps)


def with_images(manifest: dict[str, Any], settings: Settings, folders: Iterable[str] = ()) -> dict[str, Any]:
    """A compiled manifest with `image@sha256:...` for every step that `argosy build` made an image for.

    Args:
        manifest: compiled.
        settings: of the installation, in whose folder the images are noted.
        folders: where modules are looked for before `sys.path`.

    Raises:
        UsageError: the code of such a step, or its packages, have changed since.
    """
    file = settings.folder / IMAGES
    pins = read_pins(file)
    if not pins:
        return manifest
    places = tuple(folders)
    return with_templates(manifest, [_pinned(t, pins, file, places) for t in templates_in(manifest)])


def _pinned(
    template: dict[str, Any], pins: Sequence[Pin], file: Path, folders: tuple[str, ...]
) -> dict[str, Any]:
    reference, container = step_of(template), template.get("container") or {}
    known = [p for p in pins if container.get("image") in p.replaces and reference in p.steps]
    if reference is None or not known:
        return template
    changes = [_change(template, reference, pin, folders) for pin in known]
    if all(changes):
        raise UsageError(
            f"{file.name}: the {changes[-1]} of step '{template['name']}' changed since its image was built; "
            "run 'argosy build' again, submit with --build, or remove the file"
        )
    image = known[changes.index("")].image
    return {**template, "container": {**container, "image": image}}


def _change(template: dict[str, Any], reference: str, pin: Pin, folders: tuple[str, ...]) -> str:
    if not {*declared_packages(template)} <= {*pin.packages}:
        return "packages"
    try:
        return "" if step_digest(module_of_step(reference), folders) == pin.steps[reference] else "code"
    except (BuildError, OSError):
        return "code"


def step_digest(module: str, folders: Iterable[str] = ()) -> str:
    """The digest of the code that the steps of one module need; for Argosy's own that is all of it."""
    return sdk_digest() if module.partition(".")[0] == OURS else code_of([module], folders).digest
