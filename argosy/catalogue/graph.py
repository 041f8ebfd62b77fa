"""The content of a drawing of a workflow: tasks, their order, and which contains which."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Shape = Literal["step", "approval", "external", "repeat", "group"]
# How a task waits for another: until it succeeded, until it failed, or until it is over, taken or not.
Way = Literal["success", "failure", "any"]


@dataclass(frozen=True)
class Edge:
    """`target` waits for `source`, in one diagram."""

    source: str
    target: str
    way: Way = "success"


@dataclass(frozen=True)
class Node:
    """A task.

    Attributes:
        name: unique in its diagram; what is shown.
        detail: a second line: the image, what is looped over, which template is called.
        shape: what kind of task it is.
        when: its condition, in short words.
        when_sources: the tasks whose outputs the condition looks at.
        loop: it stands for one task an item.
        tint: tasks of one image have the same, the empty text has none.
        inside: the diagram of the template that it calls, if that is a DAG or steps.
    """

    name: str
    detail: str = ""
    shape: Shape = "step"
    when: str = ""
    when_sources: tuple[str, ...] = ()
    loop: str = ""
    tint: str = ""
    inside: "Diagram | None" = None


@dataclass(frozen=True)
class Diagram:
    """The tasks of one template; edges that others imply are left out."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Drawing:
    """A workflow: its entrypoint, and what runs at its end."""

    title: str
    main: Diagram
    exit: Diagram | None = None
    tints: tuple[str, ...] = field(default=())


def without_implied(nodes: Sequence[Node], edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """The edges less those that a longer way between the same tasks implies.

    Those that wait for a failure, or for a task that may be skipped, say more than the order and stay; so do
    those along which a condition looks.
    """
    looks = {(source, node.name) for node in nodes for source in node.when_sources}
    after: dict[str, list[str]] = {node.name: [] for node in nodes}
    for edge in edges:
        after[edge.source].append(edge.target)
    reached = _reached(after)

    def implied(edge: Edge) -> bool:
        if edge.way != "success" or (edge.source, edge.target) in looks:
            return False
        return any(edge.target in reached[n] for n in after[edge.source] if n != edge.target)

    return tuple(e for e in edges if not implied(e))


def _reached(after: dict[str, list[str]]) -> dict[str, set[str]]:
    """All tasks that come after each."""
    found: dict[str, set[str]] = {}
    for start in after:
        seen: set[str] = set()
        stack = list(after[start])
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                stack += after[name]
        found[start] = seen
    return found
