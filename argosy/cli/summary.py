"""The end of `argosy run`: what each step said, where the model answers, where to look further."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {"Succeeded": "green", "Failed": "red", "Error": "red", "Skipped": "dim", "Omitted": "dim"}


def print_summary(console: Console, result: Any, places: dict[str, str]) -> None:
    """Print the outputs of the steps and the places; `result` is a `WorkflowResult`."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("step", "phase", "output", "value"):
        table.add_column(heading, overflow="fold")
    for node in result.nodes:
        outputs = list(node.outputs.parameters.items()) or [("", "")]
        for row, (name, value) in enumerate(outputs):
            head = (
                (node.name, Text(node.phase.value, _STYLES.get(node.phase.value, "")))
                if row == 0
                else ("", "")
            )
            table.add_row(*head, name, Text(value))
    console.print()
    console.print(table)
    console.print()
    style = _STYLES.get(result.phase.value, "")
    console.print(Text.assemble(f"{result.name}: ", (result.phase.value, f"bold {style}")))
    for what, place in places.items():
        console.print(f"{what:<10}{place}", soft_wrap=True)
