"""Convert a promoted PyTorch model to ONNX."""

from typing import NamedTuple

from argosy import Retry, component
from argosy.components import images
from argosy.components.defaults import MLFLOW_TRACKING_URI, MODEL_NAME, RUNS_A_MODEL


class Exported(NamedTuple):
    """The export's traces in MLflow.

    Args:
        export_run_id: the run that holds model.onnx.
    """

    export_run_id: str


@component(
    name="export-onnx",
    image=images.TRAINING_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=RUNS_A_MODEL,
    retry=Retry(),
)
def export_to_onnx(
    model_version: str,
    model_name: str = MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    input_shape: str = "1,3,224,224",
) -> Exported:
    """Convert one version of the PyTorch model to ONNX and keep the file in an MLflow run of its own.

    Any network that turns one float32 tensor into one tensor can be exported, whatever train component made
    it. The run, named `export-<model_name>-v<version>`, holds model.onnx with a free batch size, and tags
    that lead back to the version and its training run. Where the training run holds labels.json or
    preprocessing.json, they are copied beside the model and into it. Each call makes a new run, so that an
    interrupted export is never mistaken for a whole one.

    Args:
        model_version: the version that Gate 1 promoted.
        model_name: the registered PyTorch model.
        mlflow_tracking_uri: the MLflow server.
        input_shape: the model's input, the batch first: 1,3,224,224 for images, 1,16 for rows of a table;
            the batch is left free.
    """
    from argosy.components.shared.registry import connect, get_version
    from argosy.components.training.export import export_version
    from argosy.components.training.recipe import parse_input_shape

    shape = parse_input_shape(input_shape)
    client = connect(mlflow_tracking_uri)
    version = get_version(client, model_name, model_version)
    return Exported(export_run_id=export_version(client, version, shape))


if __name__ == "__main__":
    export_to_onnx.main()
