"""Parameter groups: a NamedTuple or a dataclass that a pipeline takes becomes parameters of its own.

Pipelines that share a group declare names, types, defaults and descriptions once; the workflow has flat
parameters, named as the group's fields are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from argosy.step.interface import REQUIRED

if TYPE_CHECKING:
    from typing import TypeGuard


@dataclass(frozen=True)
class Group:
    """One group, as a pipeline takes it.

    Attributes:
        type: the class.
        names: its fields, which are the workflow's parameters.
    """

    type: type
    names: tuple[str, ...]

    def gathered(self, values: Mapping[str, Any]) -> Any:
        """The group of a workflow's parameters."""
        return self.type(**{name: values[name] for name in self.names})

    def spread(self, group: Any) -> dict[str, Any]:
        """The parameters of a group."""
        return {name: getattr(group, name) for name in self.names}


def is_group(hint: Any) -> TypeGuard[type]:
    """Whether an annotation is a class of named, typed fields."""
    return isinstance(hint, type) and (
        (issubclass(hint, tuple) and hasattr(hint, "_fields")) or dataclasses.is_dataclass(hint)
    )


def fields_of(group: type, default: Any) -> dict[str, Any]:
    """The fields of a group with their defaults; those of the instance `default` go first.

    Raises:
        TypeError: `default` is no such group, or a field cannot be given.
    """
    if default is not REQUIRED:
        if not isinstance(default, group):
            raise TypeError(f"its default is {default!r}, and no {group.__name__}")
        return {name: getattr(default, name) for name in _defaults(group)}
    return _defaults(group)


def _defaults(group: type) -> dict[str, Any]:
    if not dataclasses.is_dataclass(group):
        defaults = getattr(group, "_field_defaults", {})
        return {name: defaults.get(name, REQUIRED) for name in getattr(group, "_fields", ())}
    found = {}
    for field in dataclasses.fields(group):
        if not field.init:
            raise TypeError(f"its field '{field.name}' cannot be given (init=False)")
        made = field.default_factory
        default = field.default if made is dataclasses.MISSING else made()
        found[field.name] = REQUIRED if default is dataclasses.MISSING else default
    return found


def gathered(groups: Mapping[str, Group], values: Mapping[str, Any]) -> dict[str, Any]:
    """A function's arguments, of a workflow's flat parameters."""
    grouped = {name for group in groups.values() for name in group.names}
    own = {name: value for name, value in values.items() if name not in grouped}
    return {**own, **{name: group.gathered(values) for name, group in groups.items()}}


def spread(
    groups: Mapping[str, Group], names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call's arguments with each group as the parameters that it stands for.

    `names` are the function's own. An argument too many, or unknown, is left to whoever binds the call.

    Raises:
        TypeError: a group is of another type, or a parameter is given beside the group that holds it.
    """
    if not groups:
        return args, dict(kwargs)
    given = [*zip(names, args), *kwargs.items()]  # noqa: B905 - Python 3.9
    flat: dict[str, Any] = {}
    for name, value in given:
        group = groups.get(name)
        if group is not None and not isinstance(value, group.type):
            raise TypeError(f"'{name}' is {_a(group.type)}, not {value!r}")
        for parameter, part in (group.spread(value) if group else {name: value}).items():
            if parameter in flat:
                raise TypeError(f"'{parameter}' is given twice: by itself and in a group")
            flat[parameter] = part
    return args[len(names) :], flat


def _a(group: type) -> str:
    return f"{'an' if group.__name__[0] in 'AEIOU' else 'a'} {group.__name__}"
