"""Gate 1: only a better model becomes the champion."""

from typing import Literal, NamedTuple

from argosy import Retry, component
from argosy.components import images
from argosy.components.defaults import ASKS_SERVERS, MLFLOW_TRACKING_URI, MODEL_NAME


class Promotion(NamedTuple):
    """Gate 1's decision and its numbers.

    Args:
        result: passed: the candidate is the champion now.
        model_version: the candidate's version in MLflow.
        val_accuracy: the candidate's value of the metric that was asked for, whatever its name.
        champion_accuracy: the champion's value of it; empty where there was no champion.
        reason: the rule that decided, with its numbers.
        champion_data: whether the champion was made with the candidate's data set.
    """

    result: Literal["passed", "failed"]
    model_version: str
    val_accuracy: float
    champion_accuracy: float | None
    reason: str
    champion_data: Literal["same", "other", "unknown", "none"]


_RULES = "\n".join(
    f"direction={direction}{when}: val-accuracy {sign}= {bound}"
    for direction, sign, better in (("maximize", ">", "+"), ("minimize", "<", "-"))
    for when, bound in (
        ("", "min-accuracy"),
        (", champion-data!=other", f"champion-accuracy {better} min-improvement"),
        (", champion-data=other, on-other-data=compare", f"champion-accuracy {better} min-improvement"),
    )
)


@component(
    image=images.TRAINING_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    retry=Retry(),
    changes_world=True,
    annotations={"argosy.dev/gate": _RULES},
)
def promote(
    run_id: str,
    model_name: str = MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    min_accuracy: float = 0.90,
    min_improvement: float = 0.005,
    metric: str = "best_val_accuracy",
    direction: Literal["maximize", "minimize"] = "maximize",
    on_other_data: Literal["compare", "fail", "ignore-champion"] = "compare",
) -> Promotion:
    """Gate 1: compare a candidate with the current champion.

    The candidate is registered as a version of `model_name`. It passes if its `metric` is at least
    `min_accuracy` and, where a champion exists, at least the champion's plus `min_improvement`; it then gets
    the alias `champion`. A metric that is minimized must be at most the one, and at most the champion's minus
    the other. The same candidate gets the same answer however often the gate is run. A model that cannot be
    judged (no such run, no metric, no MLflow) is an error and never `failed`.

    Args:
        run_id: the candidate's training run.
        model_name: the registered model.
        mlflow_tracking_uri: the MLflow server.
        min_accuracy: lowest accuracy of a champion, 0 to 1. With another metric, the threshold in its units;
            the highest allowed value where it is minimized.
        min_improvement: how much better than the champion a candidate must be, -1 to 1; below 0 forces. With
            another metric, in its units.
        metric: the metric of the run that decides.
        direction: whether more of the metric is better, or less.
        on_other_data: a champion whose run has another data fingerprint is compared with all the same, makes
            the candidate fail, or does not count. Each is told in the reason.
    """
    from argosy.components.shared.registry import connect
    from argosy.components.training.champion import Rule, promote_run

    rule = Rule(min_accuracy, min_improvement, metric, direction, on_other_data)
    promoted = promote_run(connect(mlflow_tracking_uri), model_name, run_id, rule)
    return Promotion(
        result=promoted.decision.result,
        model_version=promoted.version,
        val_accuracy=promoted.score.value,
        champion_accuracy=promoted.champion.value if promoted.champion else None,
        reason=promoted.decision.reason,
        champion_data=promoted.decision.champion_data,
    )


if __name__ == "__main__":
    promote.main()
