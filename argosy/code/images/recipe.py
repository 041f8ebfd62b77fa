"""Which images the steps of a project need: one for each base image and set of packages."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from argosy.catalogue.discover import find_components
from argosy.compose.compiler import components_of
from argosy.compose.loader import built_in_names, load_pipeline
from argosy.compose.settings import Settings
from argosy.declare.component import Component
from argosy.declare.pipeline import Pipeline
from argosy.declare.template import render_template
from argosy.errors import UsageError
from argosy.manifest.code import OURS, step_of

# Modules of the functions that stand where another team's step has its own code.
_STAND_INS = ("argosy.reuse.", "argosy.declare.")


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
    """The steps of a pipeline's name, a Python file, or a module or folder of components.

    Raises:
        UsageError: there is no such thing, or it has no step.
    """
    path, _, function = target.partition(":")
    if function or target.replace("_", "-") in built_in_names():
        return _steps(components_of(load_pipeline(target)).values())
    entries = find_components(path)
    declared = [entry.component for entry in entries]
    return _steps([*declared, *_of_pipelines(entries[0].module if path.endswith(".py") else "")])


def _steps(components: Iterable[Component[Any, Any]]) -> list[Step]:
    found = [Step.of(c, render_template(c, c.template_name)) for c in components]
    return [step for step in found if step]


def _of_pipelines(module: str) -> Iterator[Component[Any, Any]]:
    """The components of the pipelines of a module, among them those that come from elsewhere."""
    for value in list(vars(sys.modules[module]).values()) if module else ():
        if isinstance(value, Pipeline) and value.function.__module__ == module:
            yield from components_of(value).values()


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
        settings: of the installation; they may name another registry for base images.
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
            key = base or settings.image(step.image), tuple(sorted({*step.packages, *more}))
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
    return tuple(sorted({settings.image(step.image) for step in steps}))


def image_name(target: str) -> str:
    """A name that a registry takes, from a file, a module or a pipeline."""
    path = Path(target.partition(":")[0])
    word = path.stem if path.suffix == ".py" or path.is_dir() else target.rpartition(".")[2]
    letters = (c if c.isascii() and c.isalnum() else "-" for c in word.lower())
    return "-".join(filter(None, "".join(letters).split("-"))) or "steps"


def requirements(files: Iterable[Path]) -> list[str]:
    """The packages of requirements files.

    Raises:
        UsageError: a file cannot be read, or has an option in it.
    """
    found = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot read '{file}': {error.strerror}") from None
        for line in text.replace("\\\n", " ").splitlines():
            words = line.partition(" #")[0].partition(" --hash")[0].strip()
            if words.startswith("-"):
                raise UsageError(f"'{file}': '{words}' is an option; only packages can be in it")
            if words and not words.startswith("#"):
                found.append(words)
    return found


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
