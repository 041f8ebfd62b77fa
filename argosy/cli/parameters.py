"""`-p NAME=VALUE` and `--parameter-file`, as `argo submit` has them."""

from collections.abc import Iterable
from pathlib import Path

import click
import yaml

from argosy.errors import UsageError

parameter_option = click.option(
    "-p", "--parameter", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a parameter."
)
parameter_file_option = click.option(
    "-f",
    "--parameter-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML file of parameters.",
)


def read_parameters(assignments: Iterable[str], file: Path | None) -> dict[str, str]:
    """The parameters by name; a `-p` wins over the file.

    Raises:
        UsageError: a word without `=`, a name given twice, an unreadable file.
    """
    found = _from_file(file) if file else {}
    seen: set[str] = set()
    for word in assignments:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"-p {word!r} is not of the form NAME=VALUE")
        if name in seen:
            raise UsageError(f"-p {name} is given twice")
        seen.add(name)
        found[name] = value
    return found


def _from_file(file: Path) -> dict[str, str]:
    try:
        content = yaml.load(file.read_bytes(), Loader=yaml.BaseLoader)
    except OSError as error:
        raise UsageError(f"cannot read '{file}': {error.strerror}") from None
    except yaml.YAMLError:
        raise UsageError(f"'{file}' is not YAML") from None
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise UsageError(f"'{file}' is not a mapping of parameter names to values")
    return content
