"""The three little languages of a manifest: `depends`, `when`, and expr-lang in `{{=...}}`.

Each has an LALR grammar for lark, built on first use: importing this module costs nothing. A syntax error
is a sentence; a tree is lark's.
"""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lark import Lark, Tree

_GRAMMARS = Path(__file__).with_name("grammars")
_LONG = 20_000  # characters; nobody writes more, and a parser's time should be bounded
# How Argo itself finds the names in `depends`, also in one that makes no sense.
_REFERENCE = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?)\.([A-Z][a-zA-Z]+)|([a-zA-Z0-9][-a-zA-Z0-9]*)", re.ASCII)


class Syntax(Exception):
    """The text does not follow the grammar; the message says where it stops making sense."""


@cache
def _parser(name: str) -> "Lark":
    from lark import Lark

    source = (_GRAMMARS / f"{name}.lark").read_text(encoding="utf-8")
    return Lark(source, parser="lalr", maybe_placeholders=False, propagate_positions=False)


@lru_cache(maxsize=4096)
def parse(language: str, source: str) -> "Tree[Any]":
    """The tree of `source` in `depends`, `when` or `expr`. Raises Syntax."""
    from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

    if len(source) > _LONG:
        raise Syntax(f"longer than {_LONG:,} characters")
    try:
        return _parser(language).parse(source)
    except UnexpectedEOF:
        raise Syntax("it ends too early") from None
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise Syntax("it ends too early") from None
        raise Syntax(f"'{error.token}' is unexpected after {_before(source, error.pos_in_stream)}") from None
    except UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        raise Syntax(f"'{source[position]}' is unexpected after {_before(source, position)}") from None
    except (LarkError, RecursionError) as error:
        raise Syntax(str(error).split("\n", 1)[0]) from None


def _before(source: str, position: int | None) -> str:
    before = source[: position or 0].strip()
    return f"'...{before[-30:]}'" if len(before) > 30 else f"'{before}'" if before else "the beginning"


@lru_cache(maxsize=65536)
def depends_references(source: str) -> tuple[tuple[str, str], ...]:
    """(task, result) of each name in a `depends`; result is empty where none is asked for."""
    return tuple((m[1] or m[3], m[2] or "") for m in _REFERENCE.finditer(source))
