"""Gate 1: only a better model becomes the champion."""

from typing import Literal, NamedTuple

from argosy import Resources, Retry, component
from argosy.components import images


class Promotion(NamedTuple):
    """What Gate 1 decided, and on which numbers."""

    result: Literal["passed", "failed"]
    model_version: str
    val_accuracy: float
    champion_accuracy: float | None
    reason: str


@component(
    image=images.TRAINING_TOOLS,
    resources=Resources(cpu=("250m", "500m"), memory=("512Mi", "1Gi")),
    retry=Retry(),
)
def promote(
    run_id: str,
    model_name: str = "resnet18-imagenette",
    mlflow_tracking_uri: str = "http://mlflow.ai-platform:80",
    min_accuracy: float = 0.90,
    min_improvement: float = 0.005,
) -> Promotion:
    """Gate 1: compare a candidate with the current champion.

    The candidate is registered as a version of `model_name`. It passes if its `best_val_accuracy` is at least
    `min_accuracy` and, where a champion exists, at least the champion's plus `min_improvement`; it then gets
    the alias `champion`. The same candidate gets the same answer however often the gate is run. What cannot
    be judged (no such run, no metric, no MLflow) is an error and never `failed`.

    Args:
        run_id: the candidate's training run.
        model_name: the registered model.
        mlflow_tracking_uri: the MLflow server.
        min_accuracy: lowest accuracy of a champion, 0 to 1.
        min_improvement: how much better than the champion a candidate must be, -1 to 1; below 0 forces.
    """
    from argosy.components.shared.registry import connect, run_metric
    from argosy.components.training import candidates
    from argosy.components.training.gate import Thresholds, check_accuracy, decide

    thresholds = Thresholds(min_accuracy, min_improvement)
    client = connect(mlflow_tracking_uri)
    accuracy = run_metric(client, run_id, candidates.METRIC)
    check_accuracy("candidate", accuracy)
    candidate = candidates.register(client, model_name, run_id, accuracy)

    earlier = candidates.recorded(candidate, thresholds)
    if earlier is not None:
        decision, champion = earlier
    else:
        champion = candidates.current_champion(client, model_name, candidate)
        decision = decide(accuracy, champion.accuracy, thresholds)
        candidates.record(client, candidate, decision, champion, thresholds)
    candidates.log.info("Gate 1 %s for version %s: %s", decision.result, candidate.version, decision.reason)
    return Promotion(
        result=decision.result,
        model_version=str(candidate.version),
        val_accuracy=accuracy,
        champion_accuracy=champion.accuracy,
        reason=decision.reason,
    )


if __name__ == "__main__":
    promote.main()
