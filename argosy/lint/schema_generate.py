"""`python -m argosy.lint.schema_generate`: write schema.json from Hera's models of Argo 4.

Importing Hera's models takes longer than linting a large manifest does, so the linter reads a compact
table instead. It is made here, once for each new version of Hera, and committed. A test compares.

A field's type is a short text: `s` string, `b` boolean, `i` integer (`i32` of 32 bits, `u` without a sign),
`n` number, `is` integer or string, `q` quantity, `a` a string that may be written as a number or a boolean,
`*` anything, `e:X|Y` one of X and Y,
`[T` a list of T, `{T` a mapping from string to T, else the name of a type in the table.
"""

import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

ROOTS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
TARGET = Path(__file__).with_name("schema.json")

# What Hera's models (made from an OpenAPI document) say too loosely, or not at all.
ROOT_MODELS = {"IntOrString": "is", "Quantity": "q", "Time": "s", "Amount": "a", "Item": "*"}
OVERRIDES = {
    "Parameter.value": "a",
    "Parameter.default": "a",
    "Parameter.enum": "[a",
    "ValueFrom.default": "a",
    "Plugin.*": "*",
    "Workflow.status": "*",
    "CronWorkflow.status": "*",
    "ObjectMeta.managedFields": "*",
    "Parameter.description": "a",
    "WorkflowStep.name": "s",
    "HTTPGetAction.port": "is",
}
# Integers of 32 bits, of which neither the OpenAPI document nor Hera says so; of the others, one has no sign.
INT32 = {
    "AWSElasticBlockStoreVolumeSource": ("partition",),
    "Artifact": ("mode",),
    "ArtifactPaths": ("mode",),
    "ConfigMapVolumeSource": ("defaultMode",),
    "ContainerPort": ("containerPort", "hostPort"),
    "CronWorkflowSpec": ("failedJobsHistoryLimit", "successfulJobsHistoryLimit"),
    "DownwardAPIVolumeFile": ("mode",),
    "DownwardAPIVolumeSource": ("defaultMode",),
    "FCVolumeSource": ("lun",),
    "GCEPersistentDiskVolumeSource": ("partition",),
    "GRPCAction": ("port",),
    "ISCSIVolumeSource": ("lun",),
    "KeyToPath": ("mode",),
    "OSSLifecycleRule": ("markDeletionAfterDays", "markInfrequentAccessAfterDays"),
    "PluginArtifact": ("connectionTimeoutSeconds",),
    "PreferredSchedulingTerm": ("weight",),
    "Probe": (
        "failureThreshold",
        "initialDelaySeconds",
        "periodSeconds",
        "successThreshold",
        "timeoutSeconds",
    ),
    "ProjectedVolumeSource": ("defaultMode",),
    "SecretVolumeSource": ("defaultMode",),
    "TTLStrategy": ("secondsAfterCompletion", "secondsAfterFailure", "secondsAfterSuccess"),
    "TarStrategy": ("compressionLevel",),
    "WeightedPodAffinityTerm": ("weight",),
    "WorkflowSpec": ("priority",),
}
OVERRIDES |= {f"{name}.{field}": "i32" for name, fields in INT32.items() for field in fields}
OVERRIDES["GitArtifact.depth"] = "u"
# Fields of Argo 4.1, and of the Kubernetes it is built with, that Hera's models do not have yet.
ADDITIONS = {
    "WorkflowSpec": {
        "executorPlugins": "[ExecutorPlugin",
        "podResources": "ResourceRequirements",
        "resourceClaims": "[PodResourceClaim",
    },
    "Template": {
        "pendingTimeout": "s",
        "podResources": "ResourceRequirements",
        "resourceClaims": "[PodResourceClaim",
    },
    "ExecutorPlugin": {"metadata": "ObjectMeta", "spec": "ExecutorPluginSpec"},
    "ExecutorPluginSpec": {"sidecar": "ExecutorPluginSidecar"},
    "ExecutorPluginSidecar": {"automountServiceAccountToken": "b", "container": "Container"},
    "PodResourceClaim": {"name": "s", "resourceClaimName": "s", "resourceClaimTemplateName": "s"},
    "S3Artifact": {"addressingStyle": "e:path|virtual-hosted"},
    "HTTPArtifact": {"saveStreamViaFile": "b"},
    "Container": {"restartPolicyRules": "[*"},
    "UserContainer": {"restartPolicyRules": "[*"},
    "ScriptTemplate": {"restartPolicyRules": "[*"},
    "EnvVarSource": {"fileKeyRef": "*"},
    "VolumeProjection": {"podCertificate": "*"},
}
ENUMS = {
    "imagePullPolicy": ("Container", "UserContainer", "ScriptTemplate", "ContainerNode"),
    "terminationMessagePolicy": ("Container", "UserContainer", "ScriptTemplate", "ContainerNode"),
}
ENUM_VALUES = {
    "imagePullPolicy": "e:Always|IfNotPresent|Never",
    "terminationMessagePolicy": "e:File|FallbackToLogsOnError",
    "Toleration.effect": "e:NoSchedule|PreferNoSchedule|NoExecute",
    "Toleration.operator": "e:Exists|Equal|Lt|Gt",
    "ContainerPort.protocol": "e:TCP|UDP|SCTP",
    "WorkflowSpec.dnsPolicy": "e:ClusterFirstWithHostNet|ClusterFirst|Default|None",
    "ArtifactGC.strategy": "e:OnWorkflowCompletion|OnWorkflowDeletion|Never",
    "WorkflowLevelArtifactGC.strategy": "e:OnWorkflowCompletion|OnWorkflowDeletion|Never",
    "VolumeClaimGC.strategy": "e:OnWorkflowCompletion|OnWorkflowSuccess",
    "ResourceTemplate.mergeStrategy": "e:strategic|merge|json",
}


def generate() -> dict[str, Any]:
    """The table: `types` (fields and their types) and `required` (fields that Kubernetes insists on)."""
    from hera.workflows.models.io.argoproj.workflow import v1alpha1

    names = _Names()
    for root in ROOTS:
        names.of(getattr(v1alpha1, root))
    for name, fields in ADDITIONS.items():
        names.types[name] = fields | names.types.get(name, {})
    return {"types": dict(sorted(names.types.items())), "required": dict(sorted(names.required.items()))}


class _Names:
    """Walks the models, giving each a name of its own."""

    def __init__(self) -> None:
        self.types: dict[str, dict[str, str]] = {}
        self.required: dict[str, list[str]] = {}
        self._models: dict[type, str] = {}

    def of(self, model: type) -> str:
        if model in self._models:
            return self._models[model]
        name = model.__name__
        if name in self.types:
            name += "." + model.__module__.rsplit(".", 1)[-1]
        self._models[model] = name
        self.types[name] = {}
        for field, info in model.model_fields.items():  # type: ignore[attr-defined]
            alias = info.alias or field
            self.types[name][alias] = self._override(name, alias) or self._encode(info.annotation)
            if info.is_required() and ".k8s." in model.__module__:
                self.required.setdefault(name, []).append(alias)
        return name

    def _override(self, name: str, alias: str) -> str | None:
        for key in (f"{name}.{alias}", f"{name}.*"):
            if key in OVERRIDES:
                return OVERRIDES[key]
            if key in ENUM_VALUES:
                return ENUM_VALUES[key]
        return ENUM_VALUES[alias] if name in ENUMS.get(alias, ()) else None

    def _encode(self, annotation: Any) -> str:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (types.UnionType, typing.Union):
            return self._encode_union([a for a in arguments if a is not types.NoneType])
        if origin is typing.Annotated:
            return self._encode(arguments[0])
        if origin is list:
            return "[" + self._encode(arguments[0])
        if origin is dict:
            return "{" + self._encode(arguments[1])
        plain = {str: "s", bool: "b", int: "i", float: "n", Any: "*"}
        if annotation in plain:
            return plain[annotation]
        if not hasattr(annotation, "model_fields"):
            return "s"
        return self._encode_model(annotation)

    def _encode_union(self, members: list[Any]) -> str:
        encoded = {self._encode(m) for m in members}
        return encoded.pop() if len(encoded) == 1 else "is" if encoded <= {"s", "i", "is"} else "*"

    def _encode_model(self, model: Any) -> str:
        if model.__name__ in ROOT_MODELS:
            return ROOT_MODELS[model.__name__]
        if "root" in model.model_fields:
            return self._encode(model.model_fields["root"].annotation)
        if not model.model_fields:
            return "*" if model.__name__ in ("Plugin", "Object") else self.of(model)
        return self.of(model)


def text() -> str:
    """The table as it is committed: one type a line, so that differences can be read."""
    table = generate()
    parts = []
    for key in ("types", "required"):
        lines = ",\n".join(f"  {json.dumps(n)}: {json.dumps(t)}" for n, t in table[key].items())
        parts.append(f"{json.dumps(key)}: {{\n{lines}\n}}")
    return "{" + ",\n".join(parts) + "}\n"


def main() -> int:
    """Write the table; 0."""
    TARGET.write_text(text(), encoding="utf-8")
    sys.stderr.write(f"{TARGET}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
