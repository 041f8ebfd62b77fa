"""The values that steps and pipelines have where nobody says otherwise: each is declared here, once."""

from argosy import Resources

MLFLOW_TRACKING_URI = "http://mlflow.ai-platform:80"
MODEL_NAME = "resnet18-imagenette"
ONNX_MODEL_NAME = f"{MODEL_NAME}-onnx"
DATASET = "s3://my-datasets/imagenette2-320"
KEEP_VERSIONS = 3
S3_BUCKET = "my-triton-models"
TRITON_URL = "http://triton-inference.ml-models:8000"

ASKS_SERVERS = Resources(cpu=("250m", "500m"), memory=("512Mi", "1Gi"))
"""Of a step that asks servers and tells them, and has no model in memory."""
HOLDS_A_MODEL = Resources(cpu=("250m", "500m"), memory=("1Gi", "2Gi"))
RUNS_A_MODEL = Resources(cpu=("1", "2"), memory=("2Gi", "4Gi"))
