"""Tell people how a workflow ended: for exit handlers."""

from typing import Literal, NamedTuple

from argosy import FromSecret, Resources, component
from argosy.components import images
from argosy.components.defaults import ONNX_MODEL_NAME

WEBHOOK = "ARGOSY_WEBHOOK_URL"


class Notified(NamedTuple):
    """Whether the message arrived.

    Args:
        result: sent; not-sent where the webhook failed (the log says why); no-webhook where there is none.
    """

    result: Literal["sent", "not-sent", "no-webhook"]


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=Resources(cpu=("100m", "500m"), memory=("256Mi", "512Mi")),
    # Optional: a pod whose Secret is missing would wait for it, and the workflow with it.
    env={WEBHOOK: FromSecret("argosy-notify", "url", optional=True)},
    changes_world=True,
)
def notify(
    workflow: str,
    status: str,
    owner: str = "",
    form: Literal["slack", "json"] = "slack",
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = "",
    link: str = "",
    patience: float = 10,
) -> Notified:
    """Send how a workflow ended to a webhook: its phase, the gates' numbers, the versions before and after.

    It never fails for a reason of its own: a webhook that refuses, breaks or hangs is one warning in the log,
    and so is a server that cannot be asked. An exit handler that failed would change the workflow's result.
    The webhook's address comes from the Secret `argosy-notify`, key `url`, and is never printed; another one
    is taken with `notify.options(env={"ARGOSY_WEBHOOK_URL": FromSecret(NAME, KEY)})`.

    Args:
        workflow: its name, {{workflow.name}}.
        status: its phase, {{workflow.status}}.
        owner: its uid, {{workflow.uid}}; empty: nothing is asked of MLflow.
        form: slack: what Slack's incoming webhooks take; json: one object with every field.
        model_name: the served model's name; the trained one's is the same without "-onnx".
        mlflow_tracking_uri: the MLflow server; empty: no numbers.
        link: where the run can be seen.
        patience: seconds for the webhook, all tries together; the same for MLflow; from 0.1 to 3600.
    """
    import os

    from argosy.components.notification.message import Message, ask, deliver

    # No other number is worth a failure, which would be the workflow's.
    patience = min(max(patience, 0.1), 3600.0)
    message = Message(workflow, status, model_name, link)
    if owner and mlflow_tracking_uri:
        message = ask(message, mlflow_tracking_uri, model_name, owner, patience)
    return Notified(deliver(os.environ.get(WEBHOOK, ""), message.body(form), patience))


if __name__ == "__main__":
    notify.main()
