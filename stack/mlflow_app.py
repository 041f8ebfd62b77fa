"""The MLflow tracking server in one process: `python -m argosy.stack.mlflow_app --port ... --folder ...`.

`mlflow server` imports MLflow twice, once in the command and once in the worker that it starts, and both stay
in memory. A stack on one machine needs one worker, so this runs that worker's application directly: half the
memory, and ready in two thirds of the time. The settings are those that `mlflow server` hands to its workers.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

ARTIFACT_ROOT = "mlflow-artifacts:/"
_LAST_REQUESTS = 5  # seconds that requests under way get to finish when the server is stopped


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


def serve(host: str, port: int, folder: Path) -> None:
    """Serve until SIGTERM; the tables are made or migrated before the port opens."""
    # MLflow decides by the presence of this module that it runs inside a server.
    import uvicorn

    settings = _settings(folder)
    os.environ.update(settings)
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    database = next(value for value in settings.values() if value.startswith("sqlite:"))
    initialize_backend_stores(database, database, ARTIFACT_ROOT)
    uvicorn.run(app, host=host, port=port, access_log=False, timeout_graceful_shutdown=_LAST_REQUESTS)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="argosy.stack.mlflow_app")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    serve(options.host, options.port, options.folder)


if __name__ == "__main__":
    main()
