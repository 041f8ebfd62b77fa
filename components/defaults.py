"""The values that steps and pipelines have where nobody says otherwise: each is declared here, once."""

MLFLOW_TRACKING_URI = "http://mlflow.ai-platform:80"
MODEL_NAME = "resnet18-imagenette"
ONNX_MODEL_NAME = f"{MODEL_NAME}-onnx"
DATASET = "s3://my-datasets/imagenette2-320"
KEEP_VERSIONS = 3
S3_BUCKET = "my-triton-models"
TRITON_URL = "http://triton-inference.ml-models:8000"
