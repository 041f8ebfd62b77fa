"""The fields of a manifest that the local runner does not obey. Data only.

`IGNORED`: it says something about a cluster and nothing about what a step computes.
`REFUSED`: it changes what the workflow means and cannot be done here; the text says what to do instead, and
`*` stands for every other field.
"""

from __future__ import annotations

_OUTSIDE = "fetch it in a step of its own, or pass it with `from` or `raw`"

_POD = (
    "affinity",
    "automountServiceAccountToken",
    "executor",
    "hostAliases",
    "metrics",
    "nodeSelector",
    "priorityClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
)
_CONTAINER = (
    "image",
    "imagePullPolicy",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "securityContext",
    "startupProbe",
    "terminationMessagePath",
    "terminationMessagePolicy",
)
_STORED = (
    "archive",
    "archiveLogs",
    "artifactGC",
    "artifactory",
    "azure",
    "gcs",
    "hdfs",
    "http",
    "mode",
    "oss",
    "recurseMode",
    "s3",
)

IGNORED: dict[str, frozenset[str]] = {
    "manifest": frozenset({"status"}),
    "workflow": frozenset(
        {
            *_POD,
            "archiveLogs",
            "artifactGC",
            "artifactRepositoryRef",
            "dnsConfig",
            "dnsPolicy",
            "hostNetwork",
            "imagePullSecrets",
            "podDisruptionBudget",
            "podGC",
            "podMetadata",
            "podPriority",
            "podPriorityClassName",
            "ttlStrategy",
            "volumeClaimGC",
        }
    ),
    "template": frozenset({*_POD, "annotations", "archiveLocation", "metadata", "priority"}),
    "container": frozenset(_CONTAINER),
    "script": frozenset(_CONTAINER),
    "retry": frozenset({"affinity"}),
    "input": frozenset({"description"}),
    "argument": frozenset({"description"}),
    "output": frozenset({"description"}),
    "inputArtifact": frozenset({"archive", "description", "recurseMode"}),
    "argumentArtifact": frozenset({"archive", "description"}),
    "outputArtifact": frozenset({*_STORED, "description"}),
    "mount": frozenset({"readOnly", "mountPropagation", "recursiveReadOnly"}),
    "fieldRef": frozenset({"apiVersion"}),
}

_REFERENCE = "give the file with the object that it names with -f"
_STORAGES = ("s3", "git", "http", "gcs", "oss", "azure", "hdfs", "artifactory", "plugin")
_FETCHED = dict.fromkeys(_STORAGES, _OUTSIDE)
_LIFECYCLE = {"lifecycle": "do it in the command itself"}

REFUSED: dict[str, dict[str, str]] = {
    "workflow": {
        "workflowTemplateRef": _REFERENCE,
        "suspend": "remove it: a local run cannot be resumed by hand",
        "shutdown": "remove it",
        "podSpecPatch": "write what it patches into the template",
    },
    "template": {
        "resource": "there is no Kubernetes here; run on a cluster",
        "http": "make the request in a container or script template",
        "plugin": "executor plugins run on a cluster only",
        "data": "list and filter the files in a script template",
        "containerSet": "make each container a step of its own",
        "daemon": "start the service before the run and pass its address",
        "sidecars": "start the service before the run and pass its address",
        "initContainers": "make each a step of its own",
        "memoize": "annotate the template `argosy.dev/cache: 'true'`, and this machine's cache does it",
        "podSpecPatch": "write what it patches into the template",
    },
    "task": {"templateRef": _REFERENCE},
    "step": {"templateRef": _REFERENCE},
    "hook": {"templateRef": _REFERENCE},
    "input": {
        "valueFrom": "give it a value: nothing here can look it up",
        "globalName": "only outputs are global",
    },
    "argument": {
        "valueFrom": "give it a value: nothing here can look it up",
        "globalName": "only outputs are global",
    },
    "outputSource": {
        "jsonPath": "only resource templates have it",
        "jqFilter": "only resource templates have it",
        "event": "there are no events here",
        "configMapKeyRef": "write the value into the manifest",
    },
    "inputArtifact": {
        "subPath": "put it beside the `from` of the argument",
        "globalName": "only outputs are global",
    },
    "argumentArtifact": dict(_FETCHED),
    "outputArtifact": {
        "raw": "write the file in the step",
        "subPath": "name the path itself",
    },
    "container": {
        **_LIFECYCLE,
        "volumeDevices": "there are no devices to attach here",
        "stdin": "steps read nothing",
        "tty": "steps have no terminal",
        "restartPolicy": "use retryStrategy",
    },
    "script": {
        **_LIFECYCLE,
        "restartPolicy": "use retryStrategy",
        "volumeDevices": "there are no devices to attach here",
    },
    "envSource": {"resourceFieldRef": "give the variable a value"},
    "mount": {"subPathExpr": "write the path as subPath"},
}

FETCHED_INPUTS = frozenset(_FETCHED)
"""Where an input artifact may say that a cluster finds it; here it has to come from an argument."""
