"""A template that lives in another WorkflowTemplate."""

from __future__ import annotations

from typing import Any

from argosy.declare.names import FIELD, LONGEST_FIELD, is_object
from argosy.errors import DeclarationError


class TemplateRef(str):
    """Argo's `templateRef`; as text, the name of the template.

    Attributes:
        workflow_template: the WorkflowTemplate, or ClusterWorkflowTemplate, that holds it.
        cluster_scope: it is a ClusterWorkflowTemplate.
    """

    workflow_template: str
    cluster_scope: bool

    def __new__(cls, workflow_template: str, template: str, cluster_scope: bool = False) -> TemplateRef:
        if not is_object(workflow_template):
            raise DeclarationError(
                f"templateRef: {workflow_template!r} is not the name of a WorkflowTemplate"
            )
        if not FIELD.fullmatch(template) or len(template) > LONGEST_FIELD:
            raise DeclarationError(f"templateRef: {template!r} is not the name of a template")
        ref = super().__new__(cls, template)
        ref.workflow_template, ref.cluster_scope = workflow_template, cluster_scope
        return ref

    def to_dict(self) -> dict[str, Any]:
        """As Argo writes it in a task."""
        entry: dict[str, Any] = {"name": self.workflow_template, "template": str(self)}
        if self.cluster_scope:
            entry["clusterScope"] = True
        return entry
