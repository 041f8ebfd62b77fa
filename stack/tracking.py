"""The MLflow tracking server: metadata in SQLite, artifacts in a folder, both served over HTTP.

Clients need nothing but the tracking URI. Artifacts go through the server into a folder of the stack and not
into the S3 bucket: it is faster, and a registry whose S3 server is down can still be read.

`mlflow server` imports MLflow twice, once in the command and once in the worker that it starts, and both stay
in memory. A stack on one machine needs one worker, so `python -m argosy.stack.tracking` runs that worker's
application directly: half the memory, and ready in two thirds of the time. The settings are those that
`mlflow server` hands to its workers.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from argosy.stack.process import HOST
from argosy.stack.service import Service, Unwell, http
from argosy.stack.state import StateFolder

NAME = "mlflow"
PORTS = ("mlflow",)
ARTIFACT_ROOT = "mlflow-artifacts:/"
_CHUNK = 1 << 18
_LAST_REQUESTS = 5  # seconds that requests under way get to finish when the server is stopped


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
            *(sys.executable, "-m", "argosy.stack.tracking"),
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


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="argosy.stack.tracking")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    serve(options.host, options.port, options.folder)


def serve(host: str, port: int, folder: Path) -> None:
    """Serve until SIGTERM; the tables are made or migrated before the port opens."""
    # MLflow decides by the presence of this module that it runs inside a server.
    import uvicorn

    settings = _settings(folder)
    os.environ.update(settings)
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    database = next(value for value in settings.values() if value.startswith("sqlite:"))
    initialize_backend_stores(database, database, ARTIFACT_ROOT)
    flask_app.wsgi_app = in_large_chunks(flask_app.wsgi_app)  # type: ignore[method-assign]
    uvicorn.run(app, host=host, port=port, access_log=False, timeout_graceful_shutdown=_LAST_REQUESTS)


def in_large_chunks(application: Callable[..., Any]) -> Callable[..., Any]:
    """Return a WSGI application that sends files 256 KiB at a time, where the default is 8.

    Each chunk passes from a thread to the server's loop: small ones are most of a download's time.
    """
    from werkzeug.wsgi import FileWrapper

    def wrapped(file: IO[bytes], size: int = _CHUNK) -> FileWrapper:
        return FileWrapper(file, max(size, _CHUNK))

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        return application({**environ, "wsgi.file_wrapper": wrapped}, start_response)

    return answer


def _settings(folder: Path) -> dict[str, str]:
    """Return the worker's environment: SQLite and artifacts in `folder`, artifacts served over HTTP."""
    from mlflow.server import constants

    database = f"sqlite:///{folder / 'mlflow.db'}"
    return {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: ARTIFACT_ROOT,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: str(folder / "artifacts"),
        "_MLFLOW_SGI_NAME": "uvicorn",
    }


if __name__ == "__main__":
    main()
