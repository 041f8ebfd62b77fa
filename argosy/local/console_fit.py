"""Which nodes a terminal of a few lines shows of many: what runs and what failed, then what ended last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from argosy.local.node import Node, Phase


def fitting(nodes: Iterable[Node], height: int) -> tuple[list[Node], str]:
    """The nodes to show, with all that they are inside of, and one line about the others, if any.

    They are in their order, and at most `height` lines together with that line.
    """
    known = {node.name: node for node in nodes}
    if len(known) <= height:
        return list(known.values()), ""
    room, chosen = max(1, height - 1), set[str]()
    for node in sorted(known.values(), key=_rank):
        needed = _with_parents(node, known) - chosen
        if len(chosen) + len(needed) <= room:
            chosen |= needed
        if len(chosen) == room:
            break
    rest = Counter(node.phase.value for node in known.values() if node.name not in chosen)
    told = ", ".join(f"{count} {phase}" for phase, count in rest.most_common())
    return [node for node in known.values() if node.name in chosen], f"and {told}"


def _rank(node: Node) -> tuple[int, float]:
    composite = node.kind in ("Loop", "DAG", "Steps")
    if node.phase is Phase.RUNNING:
        return (1 if composite else 0), 0.0
    if node.phase.is_bad:
        return 2, 0.0
    if node.phase is Phase.PENDING:
        return 4, 0.0
    ended = node.finished_at or ""
    return 3, -float("".join(c for c in ended if c.isdigit()) or 0)


def _with_parents(node: Node, known: dict[str, Node]) -> set[str]:
    found = {node.name}
    while node.parent in known:
        node = known[node.parent]
        found.add(node.name)
    return found
