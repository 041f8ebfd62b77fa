"""People hear of it: an exit handler tells a webhook how the workflow ended, and cannot change that."""

import couler.argo as couler
from steps import say

from argosy import pipeline
from argosy.components.notification import notify


@pipeline()
def notified(text: str = "hello") -> None:
    """Work, then tell."""
    say(text=text)
    for name, status in (("tell", couler.WFStatus.Succeeded), ("tell-of-failure", couler.WFStatus.Failed)):
        couler.set_exit_handler(
            status,
            lambda name=name: notify.options(name=name)(
                workflow="{{workflow.name}}",
                status="{{workflow.status}}",
                owner="{{workflow.uid}}",
                link="https://argo.example/workflows/{{workflow.namespace}}/{{workflow.name}}",
            ),
        )
