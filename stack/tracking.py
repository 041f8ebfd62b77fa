"""The MLflow tracking server: metadata in SQLite, artifacts in a folder, both served over HTTP.

Clients need nothing but the tracking URI. Artifacts go through the server into a folder of the stack and not
into the S3 bucket: it is faster, and a registry whose S3 server is down can still be read.
"""

from __future__ import annotations

import sys

from argosy.stack.process import HOST
from argosy.stack.service import Service, Unwell, http
from argosy.stack.state import StateFolder

NAME = "mlflow"
PORTS = ("mlflow",)


def url(ports: dict[str, int]) -> str:
    """Return the tracking URI."""
    return f"http://{HOST}:{ports['mlflow']}"


def service(folder: StateFolder, ports: dict[str, int]) -> Service:
    """Describe the server."""
    data = folder.data(NAME)
    base = url(ports)

    def check() -> None:
        if http(f"{base}/health") != b"OK":
            raise Unwell(f"{base}/health does not say OK: another server has its port")

    return Service(
        name=NAME,
        address=base,
        command=(
            *(sys.executable, "-m", "argosy.stack.mlflow_app"),
            *("--host", HOST, "--port", str(ports["mlflow"]), "--folder", str(data)),
        ),
        environment={
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Job execution is for scoring traces with language models: eight more processes, of no use here.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "OMP_WAIT_POLICY": "PASSIVE",
        },
        folder=data,
        log=folder.log(NAME),
        check=check,
        start_within=120.0,  # the first start makes some fifty migrations, and imports with cold caches
    )
