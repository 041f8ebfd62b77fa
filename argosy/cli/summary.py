"""The end of `argosy run`: what each step said, where to look further."""

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from argosy.local import Node, WorkflowResult
from argosy.text import one_line

_STYLES = {
    "Succeeded": "green",
    "Failed": "bold red",
    "Error": "bold red",
    "Skipped": "dim",
    "Omitted": "dim",
}
# Of a step's name, in characters; a longer one, as of a loop's item, puts its phase out of line.
_LONGEST = 40


def print_summary(console: Console, result: WorkflowResult, places: Mapping[str, str]) -> None:
    """Print each node with its output parameters, the workflow's phase and the places."""
    console.print()
    width = min(max((len(node.name) for node in result.nodes), default=0), _LONGEST)
    for node in result.nodes:
        _print_node(console, node, width)
    console.print()
    console.print(Text.assemble(f"{result.name}: ", _phase(result.phase.value)), soft_wrap=True)
    if result.message:
        console.print(Text(one_line(result.message)), soft_wrap=True)
    for what, place in places.items():
        console.print(Text(f"{what:<8}{place}"), soft_wrap=True)


def _print_node(console: Console, node: Node, width: int) -> None:
    seconds = f"  {node.seconds:.1f} s" if node.seconds else ""
    name = f"{one_line(node.name):<{width}}  "
    console.print(Text.assemble(name, _phase(node.phase.value), (seconds, "dim")), soft_wrap=True)
    longest = max(map(len, node.outputs.parameters), default=0)
    for name, value in node.outputs.parameters.items():
        line = Text.assemble("    ", (f"{name:<{longest}}  ", "dim"), one_line(value) or "-")
        console.print(line, soft_wrap=True)


def _phase(phase: str) -> tuple[str, str]:
    return phase, _STYLES.get(phase, "")
