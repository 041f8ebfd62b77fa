"""A workflow's needs on one machine: where its servers are, and values fit for a laptop.

A parameter that nobody set, and whose name the project's stack knows, is pointed at the embedded stack; one
set by hand stays as it is.  While the data are the embedded ones, too, the pipeline's own values for one
machine (the annotation `argosy.dev/local-parameters`) take the place of its production defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from argosy.compose.given import LOCAL_PARAMETERS, without_password
from argosy.errors import ManifestError
from argosy.manifest.parts import parameters_of
from argosy.step.values import shown

if TYPE_CHECKING:
    from argosy.local.stacks import Stack


@dataclass(frozen=True)
class Binding:
    """A workflow's parameters on one machine.

    Attributes:
        given: as the user set them.
        laptop: the pipeline's own values for one machine.
        from_stack: names that the embedded stack will fill in; none: it is not needed.
    """

    given: Mapping[str, str]
    laptop: Mapping[str, str] = field(default_factory=dict)
    from_stack: tuple[str, ...] = ()

    def parameters(self, stack: "Stack | None") -> dict[str, str]:
        """All values that differ from the manifest's; without a stack its names stand for themselves."""
        places = stack.parameters() if stack else {name: name for name in self.from_stack}
        return {**self.laptop, **{name: places[name] for name in self.from_stack}, **self.given}

    def told(self, stack: "Stack | None") -> list[str]:
        """`name = value` of each parameter that is set here, with a word for those that the user set."""
        values = self.parameters(stack).items()
        return [f"{n} = {_line(v)} (as given)" if n in self.given else f"{n} = {v}" for n, v in values]


def _line(value: str) -> str:
    """A user's value on one line, cut where it is long, without a password."""
    text = without_password(value)
    return text if text.isprintable() and len(text) < 100 else shown(text)


def bind_locally(manifest: Mapping[str, Any], given: Mapping[str, str]) -> Binding:
    """The values that `argosy run` sets beside the user's own parameters.

    Raises:
        ManifestError: the manifest's annotation is not a mapping of texts.
        UsageError: the project's stack is not installed, or several are.
    """
    from argosy.local.stacks import stack_kind

    declared = _declared(manifest)
    kind = stack_kind()
    from_stack = tuple(n for n in kind.parameters if n in declared and n not in given) if kind else ()
    if kind is None or not from_stack:
        return Binding(given)
    from_stack += tuple(n for n in kind.beside if n in declared and n not in given)
    own_data = kind.data in given
    return Binding(given, {} if own_data else _laptop(manifest, declared), from_stack)


def _declared(manifest: Mapping[str, Any]) -> set[str]:
    return {p["name"] for p in parameters_of(manifest)}


def _laptop(manifest: Mapping[str, Any], declared: set[str]) -> dict[str, str]:
    metadata = manifest.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = (annotations or {}).get(LOCAL_PARAMETERS)
    if text is None:
        return {}
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise ManifestError(f"metadata.annotations: {LOCAL_PARAMETERS} is not a mapping of names to texts")
    return {name: value for name, value in values.items() if name in declared}
