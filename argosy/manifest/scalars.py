"""Plain YAML scalars, read as Argo reads them: YAML 1.1 in the dialect of Go, by way of JSON.

Unquoted, `y`, `no` and `on` are booleans, `0o17`, `1_000` and `1e3` are numbers, and `12:30:45` and
`2024-01-01` are texts. Readers in other languages disagree, so everything that reads or writes a manifest
asks here.
"""

import math
import re
from decimal import Decimal
from functools import lru_cache

Scalar = str | int | float | bool | None

# Lower case comes first: Go tries the same prefixes after it has lowered them.
_INTEGER = re.compile(r"[-+]?(?:0b[01]+|0x[0-9a-f]+|0o?[0-7]+|[1-9][0-9]*|0)", re.ASCII | re.IGNORECASE)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf}
_WORDS: dict[str, bool | None] = {"~": None, "null": None}
_WORDS |= dict.fromkeys(("true", "yes", "y", "on"), True) | dict.fromkeys(("false", "no", "n", "off"), False)
_SPECIAL: dict[str, float | bool | None] = {"": None}
_SPECIAL |= {form: value for word, value in _WORDS.items() for form in (word, word.title(), word.upper())}
_SPECIAL |= {form: value for word, value in _INFINITE.items() for form in (word, word.title(), word.upper())}
_SPECIAL |= dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
_LARGEST = 2**64  # an integer that does not fit passes through a float
_WHOLE = 1e21  # from here on Go writes a float into JSON with an exponent
_LONGEST = 4_000  # digits; a longer number is beyond every float, and so a text


@lru_cache(maxsize=65536)
def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar: None, a boolean, a number, or the text itself."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST:
        return text
    # Go drops underscores from what begins with a digit or a sign, and refuses them after a point.
    digits = text if text[0] == "." else text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        number = _integer(digits)
        if -_LARGEST // 2 <= number < _LARGEST:
            return number
    if _FLOAT.fullmatch(digits):
        return _float(float(digits), text)
    return text


def _float(value: float, text: str) -> int | float | str:
    """A number on its way through JSON, where 5400.0 is 5400."""
    if not math.isfinite(value):
        return text
    return int(value) if value.is_integer() and abs(value) < _WHOLE else value


def _integer(text: str) -> int:
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-").lower()
    for prefix, base in (("0b", 2), ("0o", 8), ("0x", 16)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 8 if digits[0] == "0" else 10)


def is_text(text: str) -> bool:
    """True if `text`, written without quotes, is still a text to Argo's reader."""
    return isinstance(resolve(text), str)


def as_text(value: Scalar) -> str:
    """A scalar as Argo keeps it where it takes any: parameter values, defaults and enums.

    Numbers pass through a 64-bit float and are written without an exponent: 1.10 is "1.1", 1e3 is "1000".
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    number = float(value)
    return format(Decimal(repr(number)), "f").removesuffix(".0") if math.isfinite(number) else str(value)


def optional_text(value: Scalar) -> str | None:
    """`as_text`, where None stays None."""
    return None if value is None else as_text(value)


def key_text(value: Scalar) -> str:
    """A key as Argo keeps it; raises ValueError for a key that is null."""
    if value is None:
        raise ValueError("a key must be a text, and this one is null; put it in quotes")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else as_text(value)
