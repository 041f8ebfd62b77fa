"""A workflow of a cluster as a run of this machine is known: what `argosy show` and the page tell of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from argosy.cluster.api import WORKFLOW, Api
from argosy.cluster.failures import SubmitError
from argosy.cluster.logs import read_log
from argosy.cluster.nodes import FINISHED, LOG_ARTIFACT, Node, address_of, nodes_of, phase_of, raw_nodes
from argosy.errors import UsageError
from argosy.local.node import KINDS, Attempt, Phase, Values, folder_name, in_order, now
from argosy.local.node import Node as LocalNode
from argosy.local.runs.record import Record
from argosy.step.files import write_text

CLUSTERS = "clusters"
"""The folder, in the state folder, of the pages of clusters' workflows."""

_TEMPLATE = "workflows.argoproj.io/workflow-template"
_LINES = 500
"""Of a log, the last ones: a page shows no more of them."""
_READERS = 8
_GROUP = re.compile(r"\[\d+\]")
_ITEM = re.compile(r"(?P<loop>.+)\(\d+:.*\)", re.DOTALL)
_HIDDEN = ("StepGroup",)


@dataclass(frozen=True)
class ClusterRecord(Record):
    """A workflow of a cluster; its folder is that of `folder_of` and need not be there.

    `workflow` is Argo's object.
    """

    workflow: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> str:
        """Namespace and name, by which commands know it."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def pipeline(self) -> str:
        """The name of what it was made from."""
        reference = (self.workflow.get("spec") or {}).get("workflowTemplateRef") or {}
        metadata = self.workflow["metadata"]
        made_from = reference.get("name") or metadata.get("generateName", "").rstrip("-")
        of_the_archive = (metadata.get("labels") or {}).get(_TEMPLATE)  # whose list has neither of these
        return str(made_from or of_the_archive or metadata["name"])

    def place_of(self, path: str) -> Path | None:
        """None: artifacts lie in the cluster's storage."""
        return None

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The workflow with the spec that its controller runs."""
        stored = (self.workflow.get("status") or {}).get("storedWorkflowTemplateSpec")
        return {**self.workflow, "spec": stored or self.workflow.get("spec") or {}}


def folder_of(state_dir: Path, namespace: str, workflow: Mapping[str, Any]) -> Path:
    """The folder of a workflow's logs and page."""
    return state_dir / CLUSTERS / namespace / str(workflow["metadata"]["name"])


def record_of(workflow: Mapping[str, Any], folder: Path) -> ClusterRecord:
    """A workflow as its server has it, with the logs that `folder` holds."""
    found = workflow.get("status") or {}
    phase = phase_of(workflow)
    seen = list(_Reading(workflow, folder).nodes())
    root = raw_nodes(found).get(str(workflow["metadata"]["name"])) or {}
    head = {
        "uid": str(workflow["metadata"].get("uid", "")),
        "name": workflow["metadata"]["name"],
        "startedAt": found.get("startedAt") or workflow["metadata"].get("creationTimestamp") or "",
        "finishedAt": found.get("finishedAt"),
        "savedAt": now(),
        "phase": phase,
        "message": " ".join(str(found.get("message") or "").split()),
        "parameters": _parameters(workflow),
        "outputs": _values(workflow, root.get("outputs")).to_dict(),
    }
    state = "finished" if phase in FINISHED else "running"
    return ClusterRecord(folder, state, head, in_order(_with_loops(seen)), "", workflow)  # type: ignore[arg-type]


def records(api: Api, namespace: str, state_dir: Path, labels: str = "") -> Iterator[ClusterRecord]:
    """The workflows of a namespace with these labels, as they are read; one that is archived, too, once."""
    seen: set[str] = set()
    for workflow in api.all_of(WORKFLOW, namespace, labels):
        key = str(workflow["metadata"].get("uid") or workflow["metadata"]["name"])
        if key not in seen:
            seen.add(key)
            yield record_of(workflow, folder_of(state_dir, namespace, workflow))


def fetch_logs(api: Api, namespace: str, workflow: dict[str, Any], folder: Path) -> None:
    """Put the logs into a folder; one that cannot be read says why.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(lambda node: _keep_log(api, namespace, workflow, node, folder), _logs(workflow)))
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None


def _logs(workflow: Mapping[str, Any]) -> Iterable[tuple[str, Node]]:
    """The nodes with a log, and the folders that a run has for them."""
    names = _Reading(workflow).names
    return [(folder_name(names[n.id]), n) for n in nodes_of(workflow) if n.pod and n.phase != "Pending"]


def _keep_log(
    api: Api, namespace: str, workflow: dict[str, Any], one: tuple[str, Node], folder: Path
) -> None:
    name, node = one
    try:
        lines, _ = read_log(api, namespace, workflow, node, _LINES)
    except SubmitError as error:
        lines = [f"(no log: {error})"]
    path = folder / "steps" / name / "main.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{line}\n" for line in lines))


class _Reading:
    """The nodes of a status in this machine's terms.

    Argo's names begin with the workflow's and count groups of steps; here a name is `outer.inner` or
    `task(0:item)`, an attempt is a part of its step, and a group of steps is no node.
    """

    def __init__(self, workflow: Mapping[str, Any], folder: Path = Path()) -> None:
        self._workflow = workflow
        self._folder = folder
        self._raw = raw_nodes(workflow.get("status") or {})
        self._known = {node.id: node for node in nodes_of(workflow)}
        self._root = str(workflow["metadata"]["name"])
        self._kinds = {str(t.get("name")): _kind(t) for t in _templates(workflow)}
        self.names = {key: self._name(key) for key in self._known}

    def nodes(self) -> Iterable[LocalNode]:
        """All but groups, attempts and the workflow itself, where that is a graph."""
        for key, node in self._known.items():
            above = self._known.get(node.parent)
            if node.kind in _HIDDEN or (above is not None and above.kind == "Retry"):
                continue
            if self.names[key]:
                yield self._node(key, node)

    def _name(self, key: str) -> str:
        raw = self._raw.get(key) or {}
        full = str(raw.get("name") or self._known[key].name)
        name = _GROUP.sub("", full.removeprefix(self._root)).lstrip(".") if full != self._root else ""
        if full == self._root and self._known[key].kind not in ("DAG", "Steps"):
            return _template(raw) or full
        return name

    def _node(self, key: str, node: Node) -> LocalNode:
        raw = self._raw.get(key) or {}
        tries = [c for c in self._known.values() if c.parent == key] if node.kind == "Retry" else []
        last = tries[-1] if tries else node
        outputs = raw.get("outputs") or (self._raw.get(last.id) or {}).get("outputs")
        memo = raw.get("memoizationStatus") or {}
        return LocalNode(
            name=self.names[key],
            template=_template(raw),
            kind="Loop" if node.kind == "TaskGroup" else self._kinds.get(_template(raw), "Container"),
            phase=_phase(node.phase),
            parent=self._parent(node),
            started_at=raw.get("startedAt") or None,
            finished_at=raw.get("finishedAt") or None,
            inputs=_values(self._workflow, raw.get("inputs")),
            outputs=_values(self._workflow, outputs),
            exit_code=_exit_code(outputs),
            message=node.message or last.message,
            log=self._log(last),
            attempts=tuple(self._attempt(child) for child in tries),
            reused=str(memo.get("cacheName") or "") or None if memo.get("hit") else None,
        )

    def _log(self, node: Node) -> str | None:
        path = f"steps/{folder_name(self.names[node.id])}/main.log"
        return path if (self._folder / path).is_file() else None

    def _parent(self, node: Node) -> str:
        above = self._known.get(node.parent)
        while above is not None and above.kind in _HIDDEN:
            above = self._known.get(above.parent)
        return self.names[above.id] if above is not None else ""

    def _attempt(self, node: Node) -> Attempt:
        raw = self._raw.get(node.id) or {}
        start = str(raw.get("startedAt") or now())
        end = str(raw.get("finishedAt") or now())
        code = _exit_code(raw.get("outputs"))
        return Attempt(self.names[node.id], _phase(node.phase), start, end, code, node.message)


def _with_loops(nodes: list[LocalNode]) -> Iterable[LocalNode]:
    """The nodes, and for items of a loop that Argo has no node for, as in `steps`, one."""
    known = {node.name for node in nodes}
    items: dict[str, list[LocalNode]] = {}
    for node in nodes:
        match = _ITEM.fullmatch(node.name)
        if match and match["loop"] not in known and match["loop"] != node.parent:
            items.setdefault(match["loop"], []).append(node)
    for node in nodes:
        match = _ITEM.fullmatch(node.name)
        if match is None or match["loop"] not in items:
            yield node
            continue
        group = items[match["loop"]]
        if node is group[0]:
            yield _loop(match["loop"], group)
        yield replace(node, parent=match["loop"])


def _loop(name: str, items: list[LocalNode]) -> LocalNode:
    bad = next((node.phase for node in items if node.phase.is_bad), Phase.SUCCEEDED)
    over = all(node.phase.is_final for node in items)
    ended = max((node.finished_at or "" for node in items), default="")
    return LocalNode(
        name,
        items[0].template,
        "Loop",
        bad if over else Phase.RUNNING,
        items[0].parent,
        min((node.started_at for node in items if node.started_at), default=None),
        (ended or None) if over else None,
    )


def _template(raw: Mapping[str, Any]) -> str:
    return str(raw.get("templateName") or (raw.get("templateRef") or {}).get("template") or "")


def _templates(workflow: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    found = workflow.get("status") or {}
    spec = found.get("storedWorkflowTemplateSpec") or workflow.get("spec") or {}
    return [*(spec.get("templates") or ()), *(found.get("storedTemplates") or {}).values()]


def _kind(template: Mapping[str, Any]) -> str:
    return next((shown for key, shown in KINDS.items() if key in template), "Container")


def _phase(text: str) -> Phase:
    return Phase(text) if text in [phase.value for phase in Phase] else Phase.PENDING


def _exit_code(outputs: Mapping[str, Any] | None) -> int | None:
    try:
        return int(str((outputs or {})["exitCode"]))
    except (KeyError, ValueError):
        return None


def _values(workflow: Mapping[str, Any], raw: Mapping[str, Any] | None) -> Values:
    """Parameters as texts, artifacts as addresses of the cluster's storage."""
    raw = raw or {}
    parameters = {str(p["name"]): str(p["value"]) for p in raw.get("parameters") or () if "value" in p}
    made = [a for a in raw.get("artifacts") or () if a.get("name") != LOG_ARTIFACT]
    artifacts = {str(a["name"]): address_of(workflow, a) for a in made}
    result = raw.get("result")
    return Values(parameters, artifacts, None if result is None else str(result))


def _parameters(workflow: Mapping[str, Any]) -> dict[str, str]:
    stored = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec") or {}
    found: dict[str, str] = {}
    for spec in (stored, workflow.get("spec") or {}):
        given = (spec.get("arguments") or {}).get("parameters") or ()
        found |= {str(p["name"]): str(p["value"]) for p in given if "value" in p}
    return found
