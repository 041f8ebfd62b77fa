"""Versions that a run's steps made live: the aliases before and after, and where the version lies."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from argosy.local.node import Node
from argosy.local.runs.page.mlflow import PROBLEMS, Server, mlflow_of
from argosy.local.runs.record import Record

_MOVES = "triton.moves"


def deployments(record: Record) -> list[dict[str, Any]]:
    """One for each step that moved the alias `live`, which it told by outputs `live` and `previous`.

    `before` is what MLflow noted when the aliases moved; None where it no longer tells. `links` are addresses
    by what is found there.
    """
    found = []
    for node in record.nodes:
        given, told = node.inputs.parameters, node.outputs.parameters
        if "live" not in told or not given.get("model-name"):
            continue
        known: dict[str, Any] = {"step": node.name, "model": given["model-name"]}
        known["after"] = {"live": told["live"], "previous": told.get("previous", "")}
        with mlflow_of(record, given) as server:
            known |= _before(server, node) if server else {"before": None}
            known["links"] = _links(record, node, server.address if server else "")
        found.append(known)
    return found


def _before(server: Server, node: Node) -> dict[str, Any]:
    given = node.inputs.parameters
    query = {"name": given["model-name"], "version": given.get("model-version", "")}
    try:
        tags = server.api("model-versions/get", **query)["model_version"].get("tags", ())
        moves = json.loads(next((tag["value"] for tag in tags if tag["key"] == _MOVES), "[]"))
        move = next((m for m in reversed(moves) if m["workflow"] == given.get("owner")), None)
        if move is None:
            return {"before": None}
        return {"before": {"live": str(move["took_over_from"]), "previous": str(move["previous_before"])}}
    except PROBLEMS as error:
        return {"before": None, "problem": server.silent(error)}


def _links(record: Record, node: Node, mlflow: str) -> dict[str, str]:
    given = node.inputs.parameters
    model, version, number = (given.get(n, "") for n in ("model-name", "model-version", "triton-version"))
    name, found = quote(model, safe=""), {}
    if mlflow and version:
        found["MLflow"] = f"{mlflow}/#/models/{name}/versions/{quote(version, safe='')}"
    for other in record.nodes:
        if (uri := other.outputs.parameters.get("model-uri")) and other.inputs.parameters.get(
            "model-name"
        ) == model:
            found["S3"] = uri
    if (triton := given.get("triton-url", "")).startswith(("http://", "https://")) and number:
        found["Triton"] = f"{triton.rstrip('/')}/v2/models/{name}/versions/{quote(number, safe='')}"
    return found
