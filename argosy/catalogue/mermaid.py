"""A drawing as Mermaid, for pages that render it themselves."""

from collections.abc import Iterator

from argosy.catalogue.graph import Diagram, Drawing, Edge, Node

# Mermaid reads entities by name or number; everything that could end or style a label becomes one.
_ENTITIES = {'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\\": "#92;"}
_SHAPES = {
    "step": ('["', '"]'),
    "group": ('["', '"]'),
    "approval": ('{{"', '"}}'),
    "external": ('[["', '"]]'),
    "repeat": ('(["', '"])'),
}


def to_mermaid(drawing: Drawing) -> str:
    """A `flowchart TD`, the same text for the same drawing."""
    writer = _Writer()
    lines = ["flowchart TD", *writer.diagram(drawing.main, "main", 1)]
    if drawing.exit is not None:
        inner = writer.diagram(drawing.exit, "exit", 1)
        lines += ["  " + line for line in _subgraph("exit", drawing.exit.title, list(inner))]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text as it may stand in a quoted label."""
    return "".join(_ENTITIES.get(c, c) for c in " ".join(text.split()))


def _subgraph(identity: str, title: str, lines: list[str]) -> list[str]:
    return [f'subgraph {identity} ["{escaped(title)}"]', *lines, "end"]


class _Writer:
    """Numbers the nodes: names may be words of Mermaid's own."""

    def diagram(self, diagram: Diagram, prefix: str, depth: int) -> Iterator[str]:
        """The lines of a diagram, nodes first."""
        indent, names = "  " * depth, {}
        for number, node in enumerate(diagram.nodes, start=1):
            names[node.name] = f"{prefix}{number}"
            for line in self._node(node, names[node.name]):
                yield indent + line
        for edge in diagram.edges:
            yield indent + self._edge(edge, names, diagram)

    def _node(self, node: Node, identity: str) -> list[str]:
        extra = [node.loop] if node.loop else []
        if node.shape in ("external", "repeat", "approval"):
            extra.append(node.detail)
        if node.inside is not None:
            title = ", ".join([node.name, *extra])
            inner = list(self.diagram(node.inside, f"{identity}_", 1))
            return _subgraph(identity, title, inner)
        if node.when and not node.when_sources:
            extra.append(f"if {node.when}")
        label = "<br/>".join(map(escaped, [node.name, *filter(None, extra)]))
        before, after = _SHAPES[node.shape]
        return [f"{identity}{before}{label}{after}"]

    def _edge(self, edge: Edge, names: dict[str, str], diagram: Diagram) -> str:
        target = next(n for n in diagram.nodes if n.name == edge.target)
        labels = ["failed"] if edge.way == "failure" else []
        if edge.source in target.when_sources:
            labels.append(target.when)
        arrow = "-.->" if edge.way != "success" else "-->"
        label = f'|"{escaped(" and ".join(labels))}"|' if labels else ""
        return f"{names[edge.source]} {arrow}{label} {names[edge.target]}"
