"""Which images the steps of a project need: one for each base image and set of packages."""

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from argosy.catalogue.discover import find_components
from argosy.compose.compiler import components_of
from argosy.compose.loader import built_in_names, is_manifest, load_pipeline
from argosy.compose.settings import Settings
from argosy.declare.component import Component
from argosy.declare.pipeline import Pipeline
from argosy.errors import UsageError

Steps = dict[str, Component[Any, Any]]


@dataclass(frozen=True)
class Recipe:
    """One image to make.

    Attributes:
        name: the last part of its name.
        base: the image that it is made upon.
        packages: what is installed, as pip reads it.
        steps: the components that it holds, by the names of their templates.
        replaces: the images that they name, in whose place it stands.
    """

    name: str
    base: str
    packages: tuple[str, ...]
    steps: Mapping[str, Component[Any, Any]]
    replaces: tuple[str, ...]


def steps_of(target: str) -> Steps:
    """The steps of a pipeline's name, a Python file, or a module or folder of components.

    Raises:
        UsageError: there is no such thing, or it has no step.
    """
    if is_manifest(target):
        raise UsageError(
            f"'{target}' is a manifest, and images are made of code: name a pipeline or a module"
        )
    path, _, function = target.partition(":")
    if function or target.replace("_", "-") in built_in_names():
        return components_of(load_pipeline(target))
    entries = find_components(path)
    found = {e.component.template_name: e.component for e in entries}
    return {**found, **_of_pipelines(entries[0].module if path.endswith(".py") else "")}


def _of_pipelines(module: str) -> Steps:
    """The steps of the pipelines of a module, among them those that come from elsewhere."""
    found: Steps = {}
    for value in list(vars(sys.modules[module]).values()) if module else ():
        if isinstance(value, Pipeline) and value.function.__module__ == module:
            found |= components_of(value)
    return found


def recipes(
    targets: Sequence[str],
    settings: Settings,
    *,
    base: str | None = None,
    packages: Iterable[str] = (),
    name: str | None = None,
) -> list[Recipe]:
    """The images for these targets.

    Args:
        targets: as `steps_of` reads them.
        settings: of the installation; they may name another registry for base images.
        base: the base image of all of them, in the place of the components' own.
        packages: installed into all of them, besides the components' own.
        name: of the image, where it is one.
    """
    steps: Steps = {}
    for target in targets:
        steps |= steps_of(target)
    groups: dict[tuple[str, tuple[str, ...]], Steps] = {}
    for step, component in steps.items():
        # Argosy's own steps have images of their own, which containers/ builds, unless another is asked for.
        if component.template_ref is None and (base or not component.module.startswith("argosy.")):
            image = base or settings.image(component.container.image)
            key = image, tuple(sorted({*component.container.packages, *packages}))
            groups.setdefault(key, {})[step] = component
    if not groups:
        raise UsageError(f"no step of {', '.join(targets)} needs an image made here; --base IMAGE makes one")
    if name and len(groups) > 1:
        bases = ", ".join(sorted({key[0] for key in groups}))
        raise UsageError(f"--name names one image, and there are {len(groups)}, upon {bases}")
    stem = name or _image_name(targets[0])
    names = [stem] if len(groups) == 1 else [f"{stem}-{min(group)}" for group in groups.values()]
    return [
        Recipe(n, *key, group, _named_by(group, settings))
        for n, (key, group) in zip(names, groups.items(), strict=True)
    ]


def _named_by(steps: Steps, settings: Settings) -> tuple[str, ...]:
    return tuple(sorted({settings.image(c.container.image) for c in steps.values()}))


def _image_name(target: str) -> str:
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
