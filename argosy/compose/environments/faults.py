"""Faults that settings bring into a sound manifest, told at the settings' own line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from argosy.compose.environments.place import Place
from argosy.errors import ManifestError, UsageError
from argosy.lint.engine import lint_manifest
from argosy.lint.registry import Violation

Manifest = dict[str, Any]


class Read(Protocol):
    """Settings as they were read from a file, in one of its environments."""

    @property
    def file(self) -> Path | None:
        """Where they stand; None: nowhere, they say nothing."""
        ...

    @property
    def content(self) -> Mapping[str, Any]:
        """The file's content."""
        ...

    @property
    def chosen(self) -> str | None:
        """The environment's name."""
        ...

    def instead(self: "S", content: Mapping[str, Any]) -> "S":
        """The same with another content; raises UsageError where that is wrong."""
        ...


S = TypeVar("S", bound=Read)

# Argo takes these and fails later, or Kubernetes does: nobody overrides a field for that.
_NEVER_MEANT = ("ARG011", "ARG106", "ARG507", "ARG616", "ARG622", "ARG641")
_IN_ENVIRONMENT = "environments"


def settled(lay: Callable[[S], Manifest], settings: S, bare: S) -> Manifest:
    """The manifest that `lay` makes in the light of `settings`; `bare` are those that change nothing.

    Raises:
        UsageError: they make a fault, which the message tells at their line.
    """
    manifest = lay(settings)
    if settings.file is None:
        return manifest
    before = lay(bare)
    if before == manifest or not (found := _faults(manifest)):
        return manifest
    known = {_said(fault) for fault in _faults(before)}
    fault = next((f for f in found if _said(f) not in known), None)
    place = _cause(lay, settings, settings.file, _said(fault)) if fault else None
    if fault and place:
        raise place.error(_said(fault))
    return manifest


def _faults(manifest: Manifest) -> list[Violation]:
    return [v for v in lint_manifest(manifest) if v.is_error or v.code in _NEVER_MEANT]


def _said(fault: Violation) -> str:
    return f"{fault.code} {fault.message}. {fault.hint}".rstrip()


def _cause(lay: Callable[[S], Manifest], settings: S, file: Path, said: str) -> Place | None:
    """The innermost key of the settings without which this fault is gone."""

    def remains(content: Mapping[str, Any]) -> bool:
        try:
            return said in map(_said, _faults(lay(settings.instead(content))))
        except (UsageError, ManifestError):
            return True

    content = settings.content
    # From the last one laid to the first, and each stays away: two may say the same.
    for path in _outermost(content, settings.chosen):
        less = _without(content, path)
        if not remains(less):
            return Place(file, _innermost(content, path, remains))
        content = less
    return None


def _outermost(content: Mapping[str, Any], environment: str | None) -> Iterator[tuple[str, ...]]:
    if environment:
        for key in reversed(list(content[_IN_ENVIRONMENT][environment] or ())):
            yield _IN_ENVIRONMENT, environment, key
    yield from ((key,) for key in reversed(list(content)) if key != _IN_ENVIRONMENT)


def _innermost(
    content: Mapping[str, Any],
    path: tuple[str | int, ...],
    remains: Callable[[Mapping[str, Any]], bool],
) -> tuple[str | int, ...]:
    """The path, made longer for as long as the fault goes with a part of what stands there."""
    node: Any = content
    for part in path:
        node = node[part]
    keys = list(node) if isinstance(node, Mapping) else range(len(node)) if isinstance(node, list) else ()
    if len(keys) == 1:  # without it nothing is left, which would say something else: an empty value removes
        return _innermost(content, (*path, keys[0]), remains)
    for key in reversed(keys):
        less = _without(content, (*path, key))
        if not remains(less):
            return _innermost(content, (*path, key), remains)
        content = less
    return path


def _without(node: Any, path: Sequence[Any]) -> Any:
    """A copy of a mapping or a list in which what stands at the path is not there."""
    copy, first = (dict(node) if isinstance(node, Mapping) else list(node)), path[0]
    if len(path) > 1:
        copy[first] = _without(copy[first], path[1:])
    else:
        del copy[first]
    return copy
