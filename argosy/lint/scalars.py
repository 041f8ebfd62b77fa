"""Plain YAML scalars, read as Argo reads them (YAML 1.1, by way of JSON)."""

import re
from functools import lru_cache

_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None}
_WORDS |= {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_CASED = {form: value for word, value in _WORDS.items() for form in (word, word.title(), word.upper())}


@lru_cache(maxsize=65536)
def resolve(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar."""
    if text in _CASED:
        return _CASED[text]
    if not text[:1] or text[0] not in "+-.0123456789":
        return text
    if len(text) > 64:  # no number of use is longer, and Python refuses very long ones
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text) and any(c.isdigit() for c in text):
        return float(text.replace("_", ""))
    return _SPECIAL.get(text.lower(), text)


def _integer(text: str) -> int:
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-")
    for prefix, base in (("0b", 2), ("0o", 8), ("0x", 16)):
        if digits.lower().startswith(prefix):
            return sign * int(digits[2:] or "0", base)
    if digits.startswith("0") and len(digits) > 1:
        return sign * int(digits, 8)
    return sign * int(digits)


def as_text(value: str | int | float | bool | None) -> str:
    """A scalar as the string that Argo makes of it where a string is wanted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return "" if value is None else str(value)
