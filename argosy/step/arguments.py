"""A step's command line, from its interface alone."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence  # noqa: UP035 - Python 3.9

from argosy.step.errors import UsageError
from argosy.step.interface import ArtifactKind, Interface, Port

OPTIONAL = "optional-"
"""`--optional-NAME=PATH` is an artifact that may be missing; `--NAME=PATH` must be there."""


_HELP = ("--help", "-h")


class HelpAsked(Exception):
    """The line asks what the step is for; it is not to run."""


def read(interface: Interface, argv: Sequence[str]) -> tuple[dict[str, Any], dict[str, Path | None]]:
    """The inputs and the places of the outputs, by Python name.

    Raises:
        UsageError: in one line, for a word that is unknown, missing, given twice, or stands for no value.
        HelpAsked: an option is `--help` or `-h`.
    """
    try:
        words = _words(argv, _options(interface))
        inputs = {port.name: _value(port, words) for port in interface.inputs}
    except UsageError as error:
        raise UsageError(f"{interface.name}: {error}") from None
    places = {port.name: words.get(f"--output-{port.argo_name}") for port in interface.outputs}
    return inputs, {name: Path(word) if word else None for name, word in places.items()}


def _words(argv: Sequence[str], options: Mapping[str, str]) -> dict[str, str]:
    """The value of each option, `--name=value` or two words; argparse would lose a value of `--`."""
    found: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        option, equals, value = word.partition("=")
        if word in _HELP:
            raise HelpAsked
        if option not in options:
            raise UsageError(_unknown(option, options))
        if option in found:
            raise UsageError(f"'{option}' is given twice")
        if not equals:
            try:
                value = next(rest)
            except StopIteration:
                raise UsageError(f"'{option}' has no value; write {option}=VALUE") from None
        found[option] = value
    return found


def _unknown(option: str, options: Mapping[str, str]) -> str:
    if not option.startswith("--"):
        return f"unexpected word {option!r}; a value follows the name of its input: --NAME=VALUE"
    close = difflib.get_close_matches(option, options, n=1)
    return f"there is no option '{option}'" + (f"; did you mean '{close[0]}'?" if close else "; see --help")


def show_help(interface: Interface, notes: str = "") -> None:
    """Print what the step is for and what it takes."""
    import argparse  # slow to import, and this is all that it is for

    text = f"{interface.summary}\n\n{interface.description}".strip()
    parser = argparse.ArgumentParser(
        prog=interface.name,
        description=text.replace("%", "%%"),
        epilog=notes.replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, told in _options(interface).items():
        parser.add_argument(option, metavar="VALUE", help=told.replace("%", "%%"))
    parser.print_help()


def _options(interface: Interface) -> dict[str, str]:
    """Every option, and what it is for."""
    return dict(_each_option(interface))


def _each_option(interface: Interface) -> Iterator[tuple[str, str]]:
    for port in interface.inputs:
        yield f"--{port.argo_name}", _input_help(port)
        if port.optional:
            yield f"--{OPTIONAL}{port.argo_name}", "The same, where there may be nothing at the path."
    for port in interface.outputs:
        told = f"Where to put the output '{port.argo_name}' ({port.type}). {port.description}".strip()
        yield f"--output-{port.argo_name}", told


def ambiguous(interface: Interface) -> str:
    """An option that would mean two things, or empty: no input is `output_x` where an output is `x`."""
    options = [option for option, _ in _each_option(interface)]
    return next((o for o in options if o in _HELP or options.count(o) > 1), "")


def _input_help(port: Port) -> str:
    told = f"({port.type}) {port.description}".strip()
    if port.required:
        return told
    return f"{told} [default: {'none' if port.is_artifact else port.default_text or 'empty'}]"


def _value(port: Port, words: Mapping[str, str]) -> Any:
    option = f"--{port.argo_name}"
    word = words.get(option)
    if isinstance(port.type, ArtifactKind):
        return _path(port, port.type, option, word, words.get(f"--{OPTIONAL}{port.argo_name}"))
    if word is None:
        return _default(port, option)
    try:
        return port.type.decode(word)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _path(port: Port, kind: ArtifactKind, option: str, word: str | None, maybe: str | None) -> Path | None:
    if word is None and maybe is not None and not os.path.lexists(maybe):
        return None
    word = maybe if word is None else word
    if word is None:
        return None if port.optional else _default(port, option)
    path = Path(word)
    if problem := kind.problem(path):
        raise UsageError(f"{option}: {problem}")
    return path


def _default(port: Port, option: str) -> Any:
    if port.required:
        raise UsageError(f"'{option}' is missing ({port.type})")
    assert not isinstance(port.type, ArtifactKind)
    return port.type.decode(port.default_text)
