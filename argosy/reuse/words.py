"""The words of a command line that is only complete once a call says which inputs are given."""

from collections.abc import Iterable, Set
from dataclasses import dataclass


@dataclass(frozen=True)
class Tag:
    """A tag, which Argo replaces: `{{inputs.parameters.epochs}}`, `{{outputs.artifacts.model.path}}`."""

    text: str


@dataclass(frozen=True)
class Concat:
    """One word, glued from several."""

    items: "tuple[Word, ...]"


@dataclass(frozen=True)
class IfPresent:
    """Words that depend on whether the call gives an input; `name` is the input's Python name."""

    name: str
    then: "tuple[Word, ...]"
    otherwise: "tuple[Word, ...]" = ()


Word = str | Tag | Concat | IfPresent


def resolved(words: Iterable[Word], given: Set[str]) -> list[str]:
    """The words of one call; `given` are the Python names of the inputs that have a value."""
    found: list[str] = []
    for word in words:
        if isinstance(word, Tag):
            found.append(word.text)
        elif isinstance(word, Concat):
            found.append("".join(resolved(word.items, given)))
        elif isinstance(word, IfPresent):
            found += resolved(word.then if word.name in given else word.otherwise, given)
        else:
            found.append(word)
    return found


def depends_on_call(words: Iterable[Word]) -> bool:
    """Whether some word is there or not, depending on the call."""
    return any(
        isinstance(w, IfPresent) or (isinstance(w, Concat) and depends_on_call(w.items)) for w in words
    )
