"""The stack of image classification, as Argosy finds it: names alone, until it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from argosy.errors import UsageError
from argosy.local.node import Node
from argosy.local.stacks import Stack, StackKind, StepImports, Told


def _open(state_dir: Path) -> Stack:
    try:
        from argosy.stack.stack import Stack as Embedded
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the embedded stack needs {error.name}; run `pip install 'argosy[local]'`"
        ) from error
    return Embedded(state_dir)


def _told(parameters: Mapping[str, str], nodes: Sequence[Node]) -> Told:
    from argosy.stack.told import told

    return told(parameters, nodes)


# The steps of a deployment share most of these. ONNX Runtime, MLflow and PyTorch have threads, or settings,
# of their own in each process.
STEP_IMPORTS = StepImports(
    "argosy.components",
    frozenset({
        "_brotli", "boto3", "botocore", "brotli", "brotlicffi", "certifi", "chardet", "charset_normalizer",
        "dateutil", "google", "grpc", "idna", "jmespath", "ml_dtypes", "numpy", "onnx", "packaging",
        "rapidjson", "requests", "s3transfer", "simplejson", "six", "tenacity", "tritonclient",
        "typing_extensions", "urllib3", "zstandard",
    }),
)  # fmt: skip

IMAGE_CLASSIFICATION = StackKind(
    parameters=("mlflow-tracking-uri", "s3-bucket", "triton-url", "triton-grpc-url", "dataset"),
    beside=("checkpoint",),
    data="dataset",
    open=_open,
    told=_told,
    step_imports=STEP_IMPORTS,
)
