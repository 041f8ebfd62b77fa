"""Slips in a user's program that Python finds in its own words: what to write instead is added, or said."""

import dataclasses
import re
from enum import Enum

import argosy
from argosy.declare.component import Component
from argosy.text import did_you_mean

_WRONG_NOUN = re.compile(
    r"(\w+)\.__init__\(\) "
    r"(got an unexpected keyword argument|missing \d+ required positional arguments?:) (.*)"
)


def in_words(error: BaseException) -> str:
    """The message for an error of the user's own program, without its place."""
    told = f"{type(error).__name__}: {error}"
    return _wrong_noun(error) or _wrong_name(error) or told + _way_out(error)


def _wrong_noun(error: BaseException) -> str:
    """A noun of ours with a field that it does not have, `Retry(limits=2)`, or without one that it needs."""
    match = _WRONG_NOUN.match(str(error))
    noun = vars(argosy).get(match[1]) if match else None
    if match is None or not dataclasses.is_dataclass(noun):
        return ""
    names = [field.name for field in dataclasses.fields(noun)]
    if match[2].startswith("missing"):
        return f"{match[1]}() misses {match[3]}; it takes {', '.join(names)}"
    return f"{match[1]}() has no {match[3]}{did_you_mean(match[3].strip(chr(39)), names)}"


def _wrong_name(error: BaseException) -> str:
    """An attribute that a component or an enumeration does not have."""
    if not isinstance(error, AttributeError):
        return ""
    holder, name = getattr(error, "obj", None), str(getattr(error, "name", ""))
    if isinstance(holder, Component):
        own = holder.function.__name__
        return f"{own} is a component that is not called, and has no '{name}'; write {own}(...).{name}"
    if isinstance(holder, type) and issubclass(holder, Enum):
        return f"{holder.__name__} has no '{name}'{did_you_mean(name, [member.name for member in holder])}"
    return ""


def _way_out(error: BaseException) -> str:
    if isinstance(error, UnboundLocalError):
        return "; call the step that gives it above this line"
    if isinstance(error, ModuleNotFoundError):
        return "; install it here, or import it inside of the step that uses it"
    return ""
