"""What all seven scripts begin with: where the servers are, and the clients."""

import os
from pathlib import Path
from typing import Any

import boto3
import mlflow
import requests

MODEL = os.environ["MODEL_NAME"]
BUCKET = os.environ["S3_BUCKET"]
TRITON = os.environ["TRITON_URL"]
WORK = Path(os.environ["WORK_DIR"])

mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
client = mlflow.MlflowClient()
session = requests.Session()


def s3() -> Any:
    """A client of the S3 server that the environment names."""
    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])


def read(name: str) -> str:
    """What an earlier script left."""
    return (WORK / name).read_text()


def leave(name: str, value: object) -> None:
    """Leave something for a later script."""
    (WORK / name).write_text(str(value))
