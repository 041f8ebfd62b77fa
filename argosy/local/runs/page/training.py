"""MLflow's content for a run's training steps."""

from __future__ import annotations

import base64
from typing import Any

from argosy.local.runs.page.mlflow import PROBLEMS, Server, mlflow_of
from argosy.local.runs.page.render import finite
from argosy.local.runs.record import Record

_SHOWN = ("confusion_matrix.png", "misclassified.png", "confusion_matrix.csv")
_LARGEST = 600_000  # bytes of a picture
_METRICS, _POINTS = 24, 500


def training(record: Record) -> list[dict[str, Any]]:
    """The training runs that steps told of by an output `run-id`: metrics by epoch, confusion, mistakes."""
    found, seen = [], set()
    for node in record.nodes:
        run_id = node.outputs.parameters.get("run-id")
        if not run_id or run_id in seen:
            continue
        seen.add(run_id)
        with mlflow_of(record, node.inputs.parameters) as server:
            if server is not None:
                found.append({"step": node.name, "runId": run_id, **_of(server, run_id)})
    return found


def _of(server: Server, run_id: str) -> dict[str, Any]:
    try:
        run = server.api("runs/get", run_id=run_id)["run"]
        names = sorted(m["key"] for m in run["data"].get("metrics", ()))[:_METRICS]
        metrics = {name: _history(server, run_id, name) for name in names}
        artifacts = _artifacts(server, run_id)
    except PROBLEMS as error:
        return {"problem": server.silent(error)}
    link = f"{server.address}/#/experiments/{run['info']['experiment_id']}/runs/{run_id}"
    return {"metrics": metrics, "artifacts": artifacts, "link": link}


def _history(server: Server, run_id: str, name: str) -> list[list[float]]:
    query: dict[str, str | int] = {"run_id": run_id, "metric_key": name, "max_results": _POINTS}
    points = server.api("metrics/get-history", **query).get("metrics", ())
    pairs = [(finite(p.get("step", 0)), finite(p["value"])) for p in points]
    return [[step, value] for step, value in pairs if step is not None and value is not None]


def _artifacts(server: Server, run_id: str) -> list[dict[str, Any]]:
    found = []
    for folder in ("", "evaluation"):
        query = {"run_id": run_id, **({"path": folder} if folder else {})}
        for file in server.api("artifacts/list", **query).get("files", ()):
            name, size = str(file["path"]).rpartition("/")[2], int(file.get("file_size") or 0)
            if name in _SHOWN and size <= _LARGEST:
                found.append(_content(server, run_id, str(file["path"]), size))
    return found


def _content(server: Server, run_id: str, path: str, size: int) -> dict[str, Any]:
    data = server.content("get-artifact", path=path, run_uuid=run_id)
    known = {"name": path.rpartition("/")[2], "path": path, "size": size}
    if path.endswith(".png"):
        content = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        return {**known, "kind": "image", "content": content}
    return {**known, "kind": "csv", "content": data.decode("utf-8", errors="replace")}
