"""The kinds of Argo, and where the two APIs keep them."""

from dataclasses import dataclass

from argosy.errors import ManifestError

API_VERSION = "argoproj.io/v1alpha1"
GROUP_PATH = f"/apis/{API_VERSION}"


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        name: as in a manifest.
        plural: its collection in the Kubernetes API.
        argo_path, argo_key: its collection in Argo Server's API, and the key of an object in a request.
        updated: whether submitting it again replaces it; else each submission makes a new one.
        namespaced: whether it lives in a namespace.
        core: whether it is of Kubernetes itself; Argo Server has none of these.
    """

    name: str
    plural: str
    argo_path: str
    argo_key: str
    updated: bool = True
    namespaced: bool = True
    core: bool = False

    def kubernetes_path(self, namespace: str) -> str:
        """The collection in the Kubernetes API."""
        if self.core:
            return f"/api/v1/namespaces/{namespace}/{self.plural}"
        return f"{GROUP_PATH}/namespaces/{namespace}/{self.plural}" if self.namespaced else self.cluster_path

    @property
    def cluster_path(self) -> str:
        return f"{GROUP_PATH}/{self.plural}"

    def argo_server_path(self, namespace: str) -> str:
        """The collection in Argo Server's API."""
        return f"/api/v1/{self.argo_path}/{namespace}" if self.namespaced else f"/api/v1/{self.argo_path}"


_ALL = (
    Kind("Workflow", "workflows", "workflows", "workflow", updated=False),
    Kind("WorkflowTemplate", "workflowtemplates", "workflow-templates", "template"),
    Kind("CronWorkflow", "cronworkflows", "cron-workflows", "cronWorkflow"),
    Kind(
        "ClusterWorkflowTemplate",
        "clusterworkflowtemplates",
        "cluster-workflow-templates",
        "template",
        namespaced=False,
    ),
)
KINDS = {kind.name: kind for kind in _ALL}
WORKFLOW = KINDS["Workflow"]
CONFIG_MAP = Kind("ConfigMap", "configmaps", "", "", core=True)


def kind_of(name: object) -> Kind:
    """The kind of that name; raises ManifestError for one that is not Argo's."""
    kind = KINDS.get(str(name))
    if kind is None:
        raise ManifestError(f"a manifest of kind '{name}' cannot be submitted; only {', '.join(KINDS)}")
    return kind
