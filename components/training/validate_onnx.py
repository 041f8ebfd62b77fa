"""Gate 2: only an ONNX model that computes what PyTorch computes may be deployed."""

from typing import Literal, NamedTuple

from argosy import Retry, component
from argosy.components import images
from argosy.components.defaults import MLFLOW_TRACKING_URI, MODEL_NAME, RUNS_A_MODEL


class Validation(NamedTuple):
    """Gate 2's decision and its numbers.

    Args:
        result: passed: the model is registered, with the alias deploy.
        onnx_model_version: its version in MLflow; empty where the gate failed.
        max_diff: the largest absolute difference of two outputs; empty where one was not a finite number.
        mean_diff: the mean of the differences, likewise.
        onnx_speedup: 2 is twice as fast as PyTorch.
        median_diff: the median of the differences, likewise.
        argmax_agreement: the share of answers that name the same class.
        real_inputs: how many inputs were validation samples of the training run; 0 where it left none.
    """

    result: Literal["passed", "failed"]
    onnx_model_version: str
    max_diff: float | None
    mean_diff: float | None
    onnx_speedup: float
    median_diff: float | None
    argmax_agreement: float
    real_inputs: int


@component(
    name="validate-onnx",
    image=images.TRAINING_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=RUNS_A_MODEL,
    retry=Retry(),
    changes_world=True,
    annotations={"argosy.dev/gate": "max-diff <= tolerance"},
)
def validate_onnx(
    export_run_id: str,
    model_name: str = MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    samples: int = 100,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> Validation:
    """Gate 2: compare the ONNX model with the PyTorch model that it was made from.

    The file is checked first: ONNX's full checker, strict shape inference, the checksum of the export. Then
    seeded random inputs go through both models, in batches of 1, 2, 7 and 32 (fewer where samples are large),
    and after them the validation samples of the training run (artifact `validation_inputs.npy`) if it has
    any. The gate passes if no output differs by more than `tolerance`; it never passes on NaN. The export run
    gets the metrics `validation_max_diff`, `validation_mean_diff`, `validation_median_diff`,
    `validation_argmax_agreement` and `validation_onnx_speedup`. Only if the gate passes, the file is
    registered as `<model_name>-onnx` with the alias `deploy` and tags that lead back to the PyTorch version
    and its run; the same file never twice.

    Args:
        export_run_id: the run that holds model.onnx.
        model_name: the registered PyTorch model.
        mlflow_tracking_uri: the MLflow server.
        samples: how many random inputs.
        tolerance: largest absolute difference of two outputs.
        seed: start of the random numbers.
    """
    from argosy.components.shared.registry import connect
    from argosy.components.training.validation import check_settings, validate

    check_settings(samples, tolerance, seed)
    client = connect(mlflow_tracking_uri)
    verdict = validate(client, export_run_id, model_name, samples, tolerance, seed)
    return Validation(*verdict)


if __name__ == "__main__":
    validate_onnx.main()
