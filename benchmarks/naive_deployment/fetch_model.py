"""1. Download the model that the alias `deploy` means, and note where it came from."""

import json

import mlflow
from common import MODEL, WORK, client, leave

version = client.get_model_version_by_alias(MODEL, "deploy")
run = client.get_run(version.run_id)
mlflow.artifacts.download_artifacts(f"models:/{MODEL}/{version.version}/model.onnx", dst_path=str(WORK))
origin = {"model_name": MODEL, "version": version.version, "run_id": version.run_id}
leave("metadata.json", json.dumps({"mlflow": origin, "validation": run.data.metrics}, indent=2))
leave("model_version.txt", version.version)
