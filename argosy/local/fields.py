"""Fields of Argo's language that the local runner refuses, by the types of the linter's schema. Data only.

A key is a type of the schema, or one of those below `inputs`, `outputs` or `arguments`. A field of it that is
not named here is heeded, or says nothing about the work of one machine: nodes, permissions, archives.
"""

from __future__ import annotations

from argosy.manifest.model import LOCATIONS

FETCHED_INPUTS = frozenset({*LOCATIONS, "plugin"} - {"raw"})
"""Where an input artifact may say that a cluster finds it; here it has to come from an argument."""

_REFERENCE = "give the file with the object that it names with -f"
_DEVICES = "there are no devices to attach here"
_OF_A_SET = {
    "lifecycle": "do it in the command itself",
    "restartPolicy": "use retryStrategy",
    "stdin": "steps read nothing",
    "stdinOnce": "steps read nothing",
    "tty": "steps have no terminal",
    "volumeDevices": _DEVICES,
}
_CONTAINER = {**_OF_A_SET, "restartPolicyRules": "use retryStrategy"}
_PODS = {
    "podResources": "write them as the resources of the containers",
    "resourceClaims": _DEVICES,
}
_PARAMETER = {
    "valueFrom": "give it a value: nothing here can look it up",
    "globalName": "only outputs are global",
}
_OUTSIDE = "fetch it in a step of its own, or pass it with `from` or `raw`"
_LOCKS = {"database": "name a key of a ConfigMap: there is no database here"}

REFUSED: dict[str, dict[str, str]] = {
    "WorkflowSpec": {
        **_PODS,
        "executorPlugins": "executor plugins run on a cluster only",
        "workflowTemplateRef": _REFERENCE,
        "suspend": "remove it: a local run cannot be resumed by hand",
        "shutdown": "remove it",
    },
    "Template": {
        **_PODS,
        "resource": "there is no Kubernetes here; run on a cluster",
        "plugin": "executor plugins run on a cluster only",
        "data": "list and filter the files in a script template",
    },
    "DAGTask": {"templateRef": _REFERENCE},
    "WorkflowStep": {"templateRef": _REFERENCE},
    "LifecycleHook": {"templateRef": _REFERENCE},
    "inputs.Parameter": _PARAMETER,
    "arguments.Parameter": _PARAMETER,
    "ValueFrom": {
        "jsonPath": "only resource templates have it",
        "jqFilter": "only resource templates have it",
        "event": "there are no events here",
        "configMapKeyRef": "write the value into the manifest",
    },
    "Outputs": dict.fromkeys(("result", "exitCode"), "remove it: a step gives its own"),
    "inputs.Artifact": {
        "subPath": "put it beside the `from` of the argument",
        "globalName": "only outputs are global",
        **dict.fromkeys(("from", "fromExpression"), "put it into the arguments of the call"),
    },
    "arguments.Artifact": {
        **dict.fromkeys(FETCHED_INPUTS, _OUTSIDE),
        "globalName": "only outputs are global",
    },
    "outputs.Artifact": {
        "raw": "write the file in the step",
        "subPath": "name the path itself",
        "git": "push to it in the step",
    },
    "Container": _CONTAINER,
    "ContainerNode": _OF_A_SET,
    "ScriptTemplate": _CONTAINER,
    "UserContainer": {**_CONTAINER, "restartPolicy": "a sidecar is started once"},
    "EnvVarSource": dict.fromkeys(("resourceFieldRef", "fileKeyRef"), "give the variable a value"),
    "VolumeMount": {"subPathExpr": "write the path as subPath"},
    "Mutex": _LOCKS,
    "SemaphoreRef": _LOCKS,
}

HEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "inputs.HTTPArtifact": (_OUTSIDE, ("url", "headers")),
    "inputs.GitArtifact": (
        _OUTSIDE,
        ("repo", "revision", "branch", "depth", "singleBranch", "disableSubmodules"),
    ),
    "inputs.S3Artifact": (
        _OUTSIDE,
        ("endpoint", "bucket", "key", "insecure", "region", "accessKeySecret", "secretKeySecret"),
    ),
}
"""Types of which all is refused but these fields; before them, why."""

PATCHED = ("containers", "initContainers", "volumes", "activeDeadlineSeconds")
"""Fields of a pod that a `podSpecPatch` may change, and those that say nothing about the work:"""
PATCHED_IN_VAIN = (
    "affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases",
    "hostNetwork", "imagePullSecrets", "nodeName", "nodeSelector", "overhead", "preemptionPolicy", "priority",
    "priorityClassName", "restartPolicy", "runtimeClassName", "schedulerName", "securityContext",
    "serviceAccount", "serviceAccountName", "terminationGracePeriodSeconds", "tolerations",
    "topologySpreadConstraints",
)  # fmt: skip

FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
)
"""What `env.valueFrom.fieldRef` can name here."""
