"""Parameters that several pipelines have: each group is declared once, with its defaults and descriptions."""

from typing import Any, NamedTuple

from argosy.components.defaults import (
    DATASET,
    KEEP_VERSIONS,
    MLFLOW_TRACKING_URI,
    MODEL_NAME,
    S3_BUCKET,
    TRITON_URL,
)


class Training(NamedTuple):
    """From images to a model that passed Gate 1.

    Attributes:
        model_name: Model name in the MLflow registry.
        mlflow_tracking_uri: MLflow server URL.
        dataset: Image data set, an s3:// prefix or a folder with train/CLASS/ and val/CLASS/.
        input_shape: Input shape of training and ONNX export, as batch,channels,height,width.
        epochs: Override training epochs; empty takes config.yaml's.
        learning_rate: Override learning rate; empty takes config.yaml's.
        batch_size: Override batch size; empty takes config.yaml's.
        approach: baseline, feature_extraction or fine_tuning; empty takes config.yaml's.
        weights: none, imagenet, a file or s3://BUCKET/KEY; empty takes config.yaml's.
        config: Any keys of config.yaml with other values, as JSON.
        checkpoint: Folder or s3:// prefix from which a retried training goes on; empty keeps nothing.
        min_accuracy: Gate 1, least validation accuracy.
        min_improvement: Gate 1, least gain over the current champion.
    """

    model_name: str = MODEL_NAME
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI
    dataset: str = DATASET
    input_shape: str = "1,3,224,224"
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    approach: str = ""
    weights: str = ""
    config: dict[str, Any] = {}  # noqa: RUF012 - a declaration, never changed
    checkpoint: str = "s3://my-checkpoints/training"
    min_accuracy: float = 0.90
    min_improvement: float = 0.005


class Serving(NamedTuple):
    """Where models are served.

    Attributes:
        s3_bucket: S3 bucket of the Triton model repository.
        triton_url: Triton server URL.
        triton_grpc_url: Triton's gRPC address as host:port; empty loads over HTTP.
        keep_versions: How many of the newest versions stay where Triton reads; 0 archives none of them.
    """

    s3_bucket: str = S3_BUCKET
    triton_url: str = TRITON_URL
    triton_grpc_url: str = ""
    keep_versions: int = KEEP_VERSIONS


class Checks(NamedTuple):
    """Checks of a version before it is live, and right after.

    Attributes:
        expected_input_shape: Input shape of the verification.
        expected_output_shape: Output shape that the verification expects.
        compare: Gate 3, compare with the live version before anything changes; a worse one is not deployed.
        comparison_limits: Gate 3, other limits of its rules, as JSON.
        recorded_requests: Gate 3, an s3:// prefix of inference requests to send beside validation images.
    """

    expected_input_shape: list[int] = [1, 3, 224, 224]  # noqa: RUF012 - a declaration, never changed
    expected_output_shape: list[int] = [1, 10]  # noqa: RUF012
    compare: bool = False
    comparison_limits: dict[str, Any] = {}  # noqa: RUF012
    recorded_requests: str = ""
