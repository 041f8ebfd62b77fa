"""Make a smaller and faster variant of a validated ONNX model, behind a gate of its own."""

from typing import Literal, NamedTuple

from argosy import Retry, component
from argosy.components import images
from argosy.components.defaults import MLFLOW_TRACKING_URI, MODEL_NAME, RUNS_A_MODEL


class Quantized(NamedTuple):
    """The variant, and its gate's decision.

    Args:
        result: passed: the variant is registered.
        onnx_model_version: its version in MLflow; empty where the gate failed.
        argmax_agreement: the share of answers that name the class that the float model names.
        accuracy_drop: the float model's accuracy less the variant's; empty without labels.
        onnx_speedup: 2 is twice as fast as the float model.
        size_ratio: 0.25 is a quarter as large as the float model.
        real_inputs: how many validation samples it was judged on; 0 where random inputs stood in.
        reason: the rule that decided, with its numbers.
    """

    result: Literal["passed", "failed"]
    onnx_model_version: str
    argmax_agreement: float
    accuracy_drop: float | None
    onnx_speedup: float
    size_ratio: float
    real_inputs: int
    reason: str


@component(
    name="quantize-onnx",
    image=images.TRAINING_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=RUNS_A_MODEL,
    retry=Retry(),
)
def quantize_onnx(
    onnx_model_version: str,
    model_name: str = MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    variant: Literal["int8", "fp16"] = "int8",
    min_agreement: float = 0.99,
    max_accuracy_drop: float = 0.01,
    samples: int = 100,
    seed: int = 0,
) -> Quantized:
    """Make an int8 or fp16 variant of a model that passed Gate 2, and register it if it is good enough.

    The variant becomes a version of `<model_name>-onnx-<variant>` with the alias `deploy` and tags that lead
    back to the float model, the PyTorch version and its run. Its inputs and outputs stay float32, so it is
    deployed like any other, under its own name.

    int8 measures the ranges of the activations on every other validation sample of the training run (artifact
    `validation_inputs.npy`) and is judged on the others; without such samples it is refused. fp16, meant for
    GPUs, is judged on all of them, or on random inputs where there are none. The gate: the variant names the
    same class as the float model on at least `min_agreement` of the inputs and, where the run holds
    `validation_labels.npy`, its accuracy is lower by no more than `max_accuracy_drop`. NaN never passes. The
    same version under the same settings gets the same answer.

    Args:
        onnx_model_version: the version of `<model_name>-onnx` to start from.
        model_name: the registered PyTorch model.
        mlflow_tracking_uri: the MLflow server.
        variant: int8 for CPUs, a quarter of the size; fp16 for GPUs, half of it.
        min_agreement: share of the inputs that must get the same class, 0 to 1.
        max_accuracy_drop: how much lower the accuracy may be, 0 to 1.
        samples: how many random inputs stand in for real ones.
        seed: start of their random numbers.
    """
    from argosy.components.shared.registry import connect
    from argosy.components.training.variants import VariantRule, make_variant

    rule = VariantRule(variant, min_agreement, max_accuracy_drop, samples, seed)
    outcome = make_variant(connect(mlflow_tracking_uri), model_name, onnx_model_version, rule)
    return Quantized(**vars(outcome))


if __name__ == "__main__":
    quantize_onnx.main()
