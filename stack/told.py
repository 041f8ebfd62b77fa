"""The account that MLflow gives of a finished run, for its page: trainings, and versions that went live."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from argosy.local.node import Node
from argosy.local.runs.page import finite
from argosy.local.stacks import Told

if TYPE_CHECKING:
    import urllib3

_TRACKING = "mlflow-tracking-uri"
_CONNECT, _READ = 1.0, 5.0  # seconds
_SHOWN = ("confusion_matrix.png", "misclassified.png", "confusion_matrix.csv")
_LARGEST = 600_000  # bytes of a picture
_METRICS, _POINTS = 24, 500
_MOVES = "triton.moves"


class _NoAnswerError(Exception):
    """The server was not reached, or broke off."""


_PROBLEMS = (_NoAnswerError, ValueError, KeyError, TypeError)
"""What an answer that is none may raise."""


def told(parameters: Mapping[str, str], nodes: Sequence[Node]) -> Told:
    """The account of the servers that a run's parameters or its steps' inputs name; no client is imported."""
    return {"training": _trainings(parameters, nodes), "deployments": _deployments(parameters, nodes)}


def _trainings(parameters: Mapping[str, str], nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """The training runs that steps told of by an output `run-id`: metrics by epoch, confusion, mistakes."""
    found, seen = [], set()
    for node in nodes:
        run_id = node.outputs.parameters.get("run-id")
        if not run_id or run_id in seen:
            continue
        seen.add(run_id)
        with _mlflow_of(node.inputs.parameters, parameters) as server:
            if server is not None:
                found.append({"step": node.name, "runId": run_id, **_training(server, run_id)})
    return found


def _training(server: _Server, run_id: str) -> dict[str, Any]:
    try:
        run = server.api("runs/get", run_id=run_id)["run"]
        names = sorted(m["key"] for m in run["data"].get("metrics", ()))[:_METRICS]
        metrics = {name: _history(server, run_id, name) for name in names}
        artifacts = _artifacts(server, run_id)
    except _PROBLEMS as error:
        return {"problem": server.silent(error)}
    link = f"{server.address}/#/experiments/{run['info']['experiment_id']}/runs/{run_id}"
    return {"metrics": metrics, "artifacts": artifacts, "link": link}


def _history(server: _Server, run_id: str, name: str) -> list[list[float]]:
    query: dict[str, str | int] = {"run_id": run_id, "metric_key": name, "max_results": _POINTS}
    points = server.api("metrics/get-history", **query).get("metrics", ())
    pairs = [(finite(p.get("step", 0)), finite(p["value"])) for p in points]
    return [[step, value] for step, value in pairs if step is not None and value is not None]


def _artifacts(server: _Server, run_id: str) -> list[dict[str, Any]]:
    found = []
    for folder in ("", "evaluation"):
        query = {"run_id": run_id, **({"path": folder} if folder else {})}
        for file in server.api("artifacts/list", **query).get("files", ()):
            name, size = str(file["path"]).rpartition("/")[2], int(file.get("file_size") or 0)
            if name in _SHOWN and size <= _LARGEST:
                found.append(_content(server, run_id, str(file["path"]), size))
    return found


def _content(server: _Server, run_id: str, path: str, size: int) -> dict[str, Any]:
    data = server.content("get-artifact", path=path, run_uuid=run_id)
    known = {"name": path.rpartition("/")[2], "path": path, "size": size}
    if path.endswith(".png"):
        content = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        return {**known, "kind": "image", "content": content}
    return {**known, "kind": "csv", "content": data.decode("utf-8", errors="replace")}


def _deployments(parameters: Mapping[str, str], nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """One for each step that moved the alias `live`, which it told by outputs `live` and `previous`.

    `before` is what MLflow noted when the aliases moved; None where it no longer tells. `links` are addresses
    by what is found there.
    """
    found = []
    for node in nodes:
        given, told = node.inputs.parameters, node.outputs.parameters
        if "live" not in told or not given.get("model-name"):
            continue
        known: dict[str, Any] = {"step": node.name, "model": given["model-name"]}
        known["after"] = {"live": told["live"], "previous": told.get("previous", "")}
        with _mlflow_of(given, parameters) as server:
            known |= _before(server, node) if server else {"before": None}
            known["links"] = _links(nodes, node, server.address if server else "")
        found.append(known)
    return found


def _before(server: _Server, node: Node) -> dict[str, Any]:
    given = node.inputs.parameters
    query = {"name": given["model-name"], "version": given.get("model-version", "")}
    try:
        tags = server.api("model-versions/get", **query)["model_version"].get("tags", ())
        moves = json.loads(next((tag["value"] for tag in tags if tag["key"] == _MOVES), "[]"))
        move = next((m for m in reversed(moves) if m["workflow"] == given.get("owner")), None)
        if move is None:
            return {"before": None}
        return {"before": {"live": str(move["took_over_from"]), "previous": str(move["previous_before"])}}
    except _PROBLEMS as error:
        return {"before": None, "problem": server.silent(error)}


def _links(nodes: Sequence[Node], node: Node, mlflow: str) -> dict[str, str]:
    given = node.inputs.parameters
    model, version, number = (given.get(n, "") for n in ("model-name", "model-version", "triton-version"))
    name, found = quote(model, safe=""), {}
    if mlflow and version:
        found["MLflow"] = f"{mlflow}/#/models/{name}/versions/{quote(version, safe='')}"
    for other in nodes:
        if (uri := other.outputs.parameters.get("model-uri")) and other.inputs.parameters.get(
            "model-name"
        ) == model:
            found["S3"] = uri
    if (triton := given.get("triton-url", "")).startswith(("http://", "https://")) and number:
        found["Triton"] = f"{triton.rstrip('/')}/v2/models/{name}/versions/{quote(number, safe='')}"
    return found


@dataclass(frozen=True)
class _Server:
    """One MLflow."""

    address: str
    _pool: urllib3.PoolManager

    def api(self, method: str, **query: str | int) -> Any:
        """The answer of a method as plain data. Raises one of `_PROBLEMS`."""
        return json.loads(self.content(f"api/2.0/mlflow/{method}", **query))

    def content(self, place: str, **query: str | int) -> bytes:
        """The content at an address. Raises one of `_PROBLEMS`."""
        from urllib3.exceptions import HTTPError

        try:
            answer = self._pool.request("GET", f"{self.address}/{place}?{urlencode(query)}")
        except HTTPError as error:
            raise _NoAnswerError(f"{type(error).__name__}: {error}") from None
        if answer.status != 200:
            raise ValueError(f"{place} answered {answer.status}")
        return answer.data

    def silent(self, error: Exception) -> str:
        """The line about a server that did not answer as it should."""
        why = str(error) if isinstance(error, _NoAnswerError) else f"{type(error).__name__}: {error}"
        return f"MLflow at {self.address} did not tell: {why}"[:300]


@contextmanager
def _mlflow_of(*given: Mapping[str, str]) -> Iterator[_Server | None]:
    """While inside: the MLflow that the first of these names; None where none does."""
    named = next((values[_TRACKING] for values in given if values.get(_TRACKING)), "")
    address = str(named).rstrip("/")
    if not address.startswith(("http://", "https://")):
        yield None
        return
    import urllib3  # most runs name no server, and need none of it

    timeout = urllib3.Timeout(connect=_CONNECT, read=_READ)
    with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
        yield _Server(address, pool)
