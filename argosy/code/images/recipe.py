"""Which images the steps of a project need, and which of them were made.

A project needs one image for each base image and set of packages. `argosy.images.yaml` has those that
`argosy build` made, by digest, and the steps that they hold.
"""

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml

from argosy.catalogue.discover import declared_in, modules_of
from argosy.code.images import BuildError
from argosy.code.images.code import code_of, sdk_digest
from argosy.code.images.packages import alone_in, write_whole
from argosy.compose.compiler import components_of
from argosy.compose.loader import built_in_names, explain, load_pipeline, pipelines_in
from argosy.compose.settings import IMAGES, Settings
from argosy.declare.component import Component
from argosy.declare.pipeline import Pipeline
from argosy.declare.template import render_template
from argosy.errors import ArgosyError, UsageError
from argosy.manifest.code import OURS, declared_packages, step_of
from argosy.manifest.emit import to_yaml
from argosy.manifest.parts import templates_in, with_templates

# Modules of the functions that stand where another team's step has its own code.
_STAND_INS = ("argosy.reuse.", "argosy.declare.")
_PINS_HEADER = (
    "# Written by `argosy build`: compile and submit write these images. Remove it to build no more.\n"
)


@dataclass(frozen=True)
class Step:
    """A step as far as its image matters.

    Attributes:
        reference: `MODULE:FUNCTION`, as its container's command has it.
        name: of its template.
        image: that it names.
        packages: that it declares.
    """

    reference: str
    name: str
    image: str
    packages: tuple[str, ...]

    @property
    def module(self) -> str:
        """The module that a container imports."""
        return module_of_step(self.reference)

    @classmethod
    def of(cls, component: Component[Any, Any], template: Mapping[str, Any]) -> "Step | None":
        """The step of a component's template; None where no code of a project does the work."""
        reference = step_of(template)
        foreign = component.template_ref is not None or component.function.__module__.startswith(_STAND_INS)
        if reference is None or foreign:
            return None
        image = str(template["container"]["image"])
        return cls(reference, component.template_name, image, tuple(component.container.packages))


@dataclass(frozen=True)
class Recipe:
    """One image to make.

    Attributes:
        name: the last part of its name.
        base: the image that it is made upon.
        packages: what is installed, as pip reads it.
        steps: those that it holds, each as `MODULE:FUNCTION`.
        replaces: the images that they name, in whose place it stands.
    """

    name: str
    base: str
    packages: tuple[str, ...]
    steps: tuple[str, ...]
    replaces: tuple[str, ...]

    @property
    def modules(self) -> list[str]:
        """The modules of its steps."""
        return list(dict.fromkeys(module_of_step(reference) for reference in self.steps))


def module_of_step(reference: str) -> str:
    """The module of `MODULE:FUNCTION`."""
    return reference.partition(":")[0]


def steps_of(target: str) -> list[Step]:
    """The steps of a pipeline's name, or of what a Python file, a module or a folder declares.

    Those are its components, and the steps of its pipelines, wherever these come from.

    Raises:
        UsageError: there is no such thing, it has no step, or a pipeline's program fails.
    """
    path, _, function = target.partition(":")
    if function or target.replace("_", "-") in built_in_names():
        return _steps(_called_by(load_pipeline(target)))
    modules = modules_of(path, pipelines=True)
    declared = [entry.component for entry in declared_in(modules)]
    pipelines = {
        id(p): p
        for module in modules
        for p in pipelines_in(module).values()
        if p.function.__module__ == module.__name__ or not declared
    }
    if not declared and not pipelines:
        raise UsageError(
            f"'{target}' declares no component and no pipeline; mark a function with @component(...) or "
            "@pipeline"
        )
    return _steps([*declared, *(c for p in pipelines.values() for c in _called_by(p))])


def _steps(components: Iterable[Component[Any, Any]]) -> list[Step]:
    found = [Step.of(c, render_template(c, c.template_name)) for c in components]
    return [step for step in found if step]


def _called_by(pipeline: Pipeline[Any, Any]) -> Iterable[Component[Any, Any]]:
    """The components that a pipeline calls; an error in its program becomes one line with its place."""
    try:
        return components_of(pipeline).values()
    except ArgosyError:
        raise
    except Exception as error:
        raise UsageError(explain(error)) from error


def recipes(
    steps: Iterable[Step],
    settings: Settings,
    *,
    base: str | None = None,
    packages: Iterable[str] = (),
    name: str,
    alone: bool = False,
) -> list[Recipe]:
    """The images for these steps; none where no step needs one made here.

    Args:
        steps: of all that was asked for.
        settings: of the installation; they may name other base images, or another registry for them.
        base: the base image of all of them, in the place of the steps' own.
        packages: installed into all of them, besides the steps' own.
        name: of the image; where there are several, what their names begin with.
        alone: whether only one image may have it.
    """
    more = tuple(packages)
    groups: dict[tuple[str, tuple[str, ...]], dict[str, Step]] = {}
    for step in steps:
        # Argosy's own steps have images of their own, which containers/ builds, unless another is asked for.
        if base or step.module.partition(".")[0] != OURS:
            key = base or settings.image_of(step.name, step.image), tuple(sorted({*step.packages, *more}))
            groups.setdefault(key, {})[step.reference] = step
    if alone and len(groups) > 1:
        bases = ", ".join(sorted({key[0] for key in groups}))
        raise UsageError(f"--name names one image, and there are {len(groups)}, upon {bases}")
    names = _names(name, [list(group.values()) for group in groups.values()])
    return [
        Recipe(n, *key, tuple(sorted(group)), _named_by(group.values(), settings))
        for n, (key, group) in zip(names, groups.items(), strict=True)
    ]


def _names(stem: str, groups: Sequence[Sequence[Step]]) -> list[str]:
    """A name for each image, no two the same."""
    if len(groups) == 1:
        return [stem]
    found: list[str] = []
    for group in groups:
        name = f"{stem}-{min(step.name for step in group)}"
        others = sum(1 for other in found if other == name or other.startswith(f"{name}-"))
        found.append(f"{name}-{others + 1}" if name in found else name)
    return found


def _named_by(steps: Iterable[Step], settings: Settings) -> tuple[str, ...]:
    return tuple(sorted({settings.image_of(step.name, step.image) for step in steps}))


def image_name(target: str) -> str:
    """A name that a registry takes, from a file, a module or a pipeline."""
    path = Path(target.partition(":")[0])
    if path.is_dir():
        path = path.resolve()  # `.` has a name, too
    word = path.stem if path.suffix == ".py" or path.is_dir() else target.rpartition(".")[2]
    letters = (c if c.isascii() and c.isalnum() else "-" for c in word.lower())
    return "-".join(filter(None, "".join(letters).split("-"))) or "steps"


def requirements(files: Iterable[Path]) -> list[str]:
    """The packages of requirements files.

    Raises:
        UsageError: a file cannot be read, or has an option in it, or a line that is no package.
    """
    return [package for file in files for package in _packages_in(file)]


def _packages_in(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read '{file}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"'{file}' is no text in UTF-8") from None
    number = 1
    for line in text.replace("\\\n", "\0").splitlines():  # one that goes on in the next
        place, number = f"{file}:{number}", number + 1 + line.count("\0")
        words = line.replace("\0", " ").partition(" #")[0].partition(" --hash")[0].strip()
        if words.startswith("-"):
            raise UsageError(f"{place}: '{words}' is an option; only packages can be in it")
        if words and not words.startswith("#"):
            if not _is_package(words):
                raise UsageError(f"{place}: '{words}' is not a package such as 'pandas==2.2.3'")
            yield words


def _is_package(words: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    if (
        words.startswith((".", "/")) or "://" in words
    ):  # that these have no hash is told where they are locked
        return True
    try:
        Requirement(words)
    except InvalidRequirement:
        return False
    return True


def origin_labels(folder: Path) -> dict[str, str]:
    """`org.opencontainers.image.*` labels of the commit that a folder is at; none outside of git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    labels = {
        "org.opencontainers.image.revision": commit + ("-dirty" if changed else ""),
        "org.opencontainers.image.created": _git(folder, "show", "-s", "--format=%cI", "HEAD"),
        "org.opencontainers.image.source": _public(_git(folder, "remote", "get-url", "origin")),
    }
    return {name: value for name, value in labels.items() if value}


def _public(address: str) -> str:
    """An address without the password that may stand in it; nothing for a folder of this machine."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https", "ssh"):
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return address if "@" in address and ":" in address else ""


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


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
        write_whole(file, _PINS_HEADER + to_yaml(entries))  # type: ignore[arg-type]


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
