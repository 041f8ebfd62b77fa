"""Options that several commands share: parameters, environment, cluster, form of the output."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from argosy.cli.completion import assignments
from argosy.compose.given import Unquoted
from argosy.compose.settings import ENVIRONMENT, beside, in_environment
from argosy.errors import UsageError
from argosy.manifest.scalars import as_text, resolve

F = TypeVar("F", bound=Callable[..., Any])

output_option = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
tail_option = click.option(
    "--tail", type=click.IntRange(min=0), metavar="LINES", help="Only the last lines of each step."
)
parameter_option = click.option(
    "-p",
    "--parameter",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter.",
    shell_complete=assignments,
)
parameter_file_option = click.option(
    "-f",
    "--parameter-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML or JSON file of parameters; a list or mapping travels as JSON, null counts as not given.",
)


def read_parameters(words: Iterable[str], file: Path | None) -> dict[str, str]:
    """The parameters by name; a `-p` wins over the file.

    Raises:
        UsageError: a word without `=`, a name given twice, an unreadable file.
    """
    found = _from_file(file) if file else {}
    seen: set[str] = set()
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"-p {word!r} is not of the form NAME=VALUE")
        if name in seen:
            raise UsageError(f"-p {name} is given twice")
        seen.add(name)
        found[name] = value
    return found


def _from_file(file: Path) -> dict[str, str]:
    from argosy.manifest.reading import OwnLoader

    try:
        root = yaml.compose(file.read_bytes(), Loader=OwnLoader)
    except OSError as error:
        raise UsageError(f"cannot read '{file}': {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{file}{line}: not YAML: {problem or str(error).splitlines()[0]}") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{file}:1: a mapping of parameter names to values is wanted")
    found: dict[str, str | None] = {}
    for key, node in root.value:
        place = f"{file}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(f"{place}: a parameter's name is a text")
        if key.value in found:
            raise UsageError(f"{place}: '{key.value}' is given twice")
        found[key.value] = _text(node, f"{place}: '{key.value}'")
    return {name: value for name, value in found.items() if value is not None}


def _text(node: yaml.Node, place: str) -> str | None:
    """A value as a parameter carries it: a scalar as written, a list or mapping as JSON, null as none."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag == "tag:yaml.org,2002:null":
            return None
        quoted = node.style is not None
        return _paired(node.value) if quoted else Unquoted(node.value, as_text(resolve(node.value)))
    try:
        return _paired(json.dumps(_value_of(node), ensure_ascii=False, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        problem = getattr(error, "problem", None) or error
        raise UsageError(f"{place} cannot be written as JSON: {problem}") from None


def _paired(text: str) -> str:
    """The text with JSON's pairs of escapes, which YAML reads as two characters, as the one that they are."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:  # half a pair, which is refused where the value is checked
        return text


def _value_of(node: yaml.Node) -> Any:
    """The value of a composed node."""
    from argosy.manifest.reading import OwnLoader

    reader = OwnLoader("")
    try:
        return reader.construct_document(node)
    finally:
        reader.dispose()


env_file_option = click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="NAME/KEY=VALUE for a key of a Secret or ConfigMap, VARIABLE=VALUE for every step.",
)
"""Files with the values of Secrets, for a run or a part of one."""


STANDARD_OUTPUT = Path("-")


def _output_file(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """The file of `-o FILE`; none for `-o -`, which is standard output, as without the option."""
    return None if value == STANDARD_OUTPUT else value


output_file_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_output_file,
    help="Write FILE, not standard output.",
)


def settings_beside(context: click.Context, _: click.Parameter | None, value: Any) -> Any:
    """For as long as the command runs, settings are also looked for beside what it names."""
    words = (value,) if isinstance(value, str) else value or ()
    context.with_resource(beside(*words))
    return value


def environment_option(command: F) -> F:
    """`--env NAME`: for as long as the command runs, settings are those of this environment."""

    def choose(context: click.Context, _: click.Parameter, name: str | None) -> None:
        if name is not None and not name.strip():  # as of a shell's variable that nobody set
            raise UsageError(f"--env names no environment; without it that of ${ENVIRONMENT} counts, or none")
        context.with_resource(in_environment(name))

    return click.option(
        "--env",
        metavar="NAME",
        callback=choose,
        expose_value=False,
        help=f"An environment of argosy.yaml; default: ${ENVIRONMENT}.",
    )(command)


memoize_option = click.option(
    "--memoize", is_flag=True, help="Let Argo reuse what steps declared with cache=True made (`memoize`)."
)


_CLUSTER = (
    click.option("-n", "--namespace", help="Default: the manifest's, else the kubeconfig context's."),
    click.option("--context", help="A context of the kubeconfig; default: its current one."),
    click.option(
        "--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, ~/.kube/config, or the pod's own."
    ),
)
_ARGO_SERVER = (
    click.option("--server", metavar="URL", help="Go through this Argo Server, not the Kubernetes API."),
    click.option("--token-file", metavar="FILE", help="The token for --server; default: $ARGO_TOKEN."),
    click.option("--ca-file", metavar="FILE", help="Certificate authorities for --server."),
    click.option("--insecure-skip-tls-verify", "insecure", is_flag=True, help="Trust --server unseen."),
)


def cluster_options(command: F) -> F:
    """`-n`, `--context` and `--kubeconfig`."""
    for option in reversed(_CLUSTER):
        command = option(command)
    return command


def argo_server_options(command: F) -> F:
    """`--server` and what belongs to it."""
    for option in reversed(_ARGO_SERVER):
        command = option(command)
    return command


class OfEither(click.Command):
    """A command for a run of this machine; for NAMESPACE/WORKFLOW its namesake of a cluster runs."""

    namesake: Callable[[], click.Command]
    """Loads that; the group, which holds both, sets it."""

    def _of_a_cluster(self) -> list[click.Option]:
        """The options that the namesake alone has."""
        own = {name for param in self.params for name in param.opts}
        options = [p for p in self.namesake().params if isinstance(p, click.Option)]
        return [option for option in options if not own & {*option.opts}]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, then those of the namesake."""
        super().format_options(ctx, formatter)
        records = [record for option in self._of_a_cluster() if (record := option.get_help_record(ctx))]
        with formatter.section("Options with NAMESPACE/WORKFLOW"):
            formatter.write_dl(records)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words as click reads them; an option of the namesake is refused with what it goes with."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if any(error.option_name in option.opts for option in self._of_a_cluster()):
                told = f"argosy {self.name} NAMESPACE/WORKFLOW"
                raise UsageError(f"{error.option_name} goes with a workflow of a cluster: {told}") from None
            raise
