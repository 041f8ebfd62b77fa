"""The fields of a manifest that the local runner obeys. Data only.

A field's value names the kind of object inside it (`[]`: a list of them; "": anything). A field that is not
in USED is in IGNORED or REFUSED, or it is an error.
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
    "beside": frozenset(_CONTAINER),
    "setContainer": frozenset(_CONTAINER),
    "podPatch": frozenset(
        {
            *_POD,
            "dnsConfig",
            "dnsPolicy",
            "enableServiceLinks",
            "hostNetwork",
            "imagePullSecrets",
            "nodeName",
            "overhead",
            "preemptionPolicy",
            "priority",
            "restartPolicy",
            "runtimeClassName",
            "serviceAccount",
            "terminationGracePeriodSeconds",
            "topologySpreadConstraints",
        }
    ),
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
    "httpSource": {"*": _OUTSIDE},
    "gitSource": {"*": _OUTSIDE},
    "s3Source": {"*": _OUTSIDE},
    "podPatch": {"*": "write what it patches into the template, if it changes what a step does"},
    "workflow": {
        "workflowTemplateRef": _REFERENCE,
        "suspend": "remove it: a local run cannot be resumed by hand",
        "shutdown": "remove it",
    },
    "template": {
        "resource": "there is no Kubernetes here; run on a cluster",
        "plugin": "executor plugins run on a cluster only",
        "data": "list and filter the files in a script template",
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
    "beside": {
        **_LIFECYCLE,
        "restartPolicy": "a sidecar is started once",
        "volumeDevices": "there are no devices to attach here",
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


USED: dict[str, dict[str, str]] = {
    "manifest": {"apiVersion": "", "kind": "", "metadata": "", "spec": "workflow"},
    "workflow": {
        "entrypoint": "",
        "arguments": "arguments",
        "templates": "",
        "onExit": "",
        "hooks": "hooks",
        "activeDeadlineSeconds": "",
        "parallelism": "",
        "templateDefaults": "",
        "retryStrategy": "retry",
        "serviceAccountName": "",
        "priority": "",
        "volumes": "",
        "volumeClaimTemplates": "",
        "synchronization": "synchronization",
        "workflowMetadata": "",
        "podSpecPatch": "",
    },
    "podPatch": {"containers": "", "initContainers": "", "volumes": "", "activeDeadlineSeconds": ""},
    "template": {
        "name": "",
        "inputs": "inputs",
        "outputs": "outputs",
        "container": "container",
        "script": "script",
        "dag": "dag",
        "steps": "[][]step",
        "retryStrategy": "retry",
        "timeout": "",
        "activeDeadlineSeconds": "",
        "parallelism": "",
        "volumes": "",
        "failFast": "",
        "suspend": "suspend",
        "synchronization": "synchronization",
        "memoize": "memoize",
        "initContainers": "[]beside",
        "sidecars": "[]beside",
        "daemon": "",
        "podSpecPatch": "",
        "http": "http",
        "containerSet": "containerSet",
    },
    "containerSet": {
        "containers": "[]setContainer",
        "volumeMounts": "[]mount",
        "retryStrategy": "setRetry",
    },
    "setRetry": {"duration": "", "retries": ""},
    "http": {
        "url": "",
        "method": "",
        "headers": "[]header",
        "body": "",
        "bodyFrom": "bodyFrom",
        "timeoutSeconds": "",
        "successCondition": "",
        "insecureSkipVerify": "",
    },
    "header": {"name": "", "value": "", "valueFrom": "headerSource"},
    "headerSource": {"secretKeyRef": "keyRef"},
    "bodyFrom": {"bytes": ""},
    "memoize": {"key": "", "maxAge": "", "cache": "memoCache"},
    "memoCache": {"configMap": "keyRef"},
    "synchronization": {
        "mutexes": "[]mutex",
        "semaphores": "[]semaphore",
    },
    "mutex": {"name": "", "namespace": ""},
    "semaphore": {"configMapKeyRef": "keyRef", "namespace": ""},
    "suspend": {"duration": ""},
    "dag": {"tasks": "[]task", "failFast": "", "target": ""},
    "task": {
        "name": "",
        "template": "",
        "inline": "template",
        "arguments": "arguments",
        "dependencies": "",
        "depends": "",
        "when": "",
        "withItems": "",
        "withParam": "",
        "withSequence": "sequence",
        "continueOn": "continueOn",
        "onExit": "",
        "hooks": "hooks",
    },
    "step": {
        "name": "",
        "template": "",
        "inline": "template",
        "arguments": "arguments",
        "when": "",
        "withItems": "",
        "withParam": "",
        "withSequence": "sequence",
        "continueOn": "continueOn",
        "onExit": "",
        "hooks": "hooks",
    },
    "sequence": {"count": "", "start": "", "end": "", "format": ""},
    "continueOn": {"failed": "", "error": ""},
    "hooks": {"*": "hook"},
    "hook": {"template": "", "arguments": "arguments", "expression": ""},
    "retry": {"limit": "", "retryPolicy": "", "backoff": "backoff", "expression": ""},
    "backoff": {"duration": "", "factor": "", "maxDuration": "", "cap": ""},
    "inputs": {"parameters": "[]input", "artifacts": "[]inputArtifact"},
    "arguments": {"parameters": "[]argument", "artifacts": "[]argumentArtifact"},
    "outputs": {"parameters": "[]output", "artifacts": "[]outputArtifact"},
    "input": {"name": "", "value": "", "default": "", "enum": ""},
    "argument": {"name": "", "value": "", "default": "", "enum": ""},
    "output": {"name": "", "valueFrom": "outputSource", "globalName": "", "default": "", "value": ""},
    "outputSource": {"path": "", "parameter": "", "expression": "", "supplied": "", "default": ""},
    "inputArtifact": {"name": "", "path": "", "raw": "raw", "optional": "", "mode": ""},
    "argumentArtifact": {
        "name": "",
        "from": "",
        "raw": "raw",
        "subPath": "",
        "optional": "",
        "fromExpression": "",
    },
    "outputArtifact": {
        "name": "",
        "path": "",
        "from": "",
        "fromExpression": "",
        "optional": "",
        "globalName": "",
    },
    "raw": {"data": ""},
    "httpSource": {"url": "", "headers": "[]headerText"},
    "headerText": {"name": "", "value": ""},
    "gitSource": dict.fromkeys(
        ("repo", "revision", "branch", "depth", "singleBranch", "disableSubmodules"), ""
    ),
    "s3Source": {
        **dict.fromkeys(("endpoint", "bucket", "key", "insecure", "region"), ""),
        "accessKeySecret": "keyRef",
        "secretKeySecret": "keyRef",
    },
    "container": {
        "command": "",
        "args": "",
        "env": "[]env",
        "envFrom": "[]envFrom",
        "workingDir": "",
        "volumeMounts": "[]mount",
    },
    "beside": {
        "command": "",
        "args": "",
        "env": "[]env",
        "envFrom": "[]envFrom",
        "workingDir": "",
        "volumeMounts": "[]mount",
        "mirrorVolumeMounts": "",
    },
    "script": {
        "command": "",
        "args": "",
        "source": "",
        "env": "[]env",
        "envFrom": "[]envFrom",
        "workingDir": "",
        "volumeMounts": "[]mount",
    },
    "env": {"name": "", "value": "", "valueFrom": "envSource"},
    "envSource": {"secretKeyRef": "keyRef", "configMapKeyRef": "keyRef", "fieldRef": "fieldRef"},
    "keyRef": {"name": "", "key": "", "optional": ""},
    "fieldRef": {"fieldPath": ""},
    "mount": {"name": "", "mountPath": "", "subPath": ""},
    "envFrom": {"prefix": "", "secretRef": "keyRef", "configMapRef": "keyRef"},
}

USED["setContainer"] = {**USED["container"], "name": "", "dependencies": ""}
REFUSED["setContainer"] = REFUSED["container"]
USED["inputArtifact"].update(dict.fromkeys(FETCHED_INPUTS, ""))
USED["inputArtifact"].update({"http": "httpSource", "git": "gitSource", "s3": "s3Source"})

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

CRON_FIELDS = frozenset(
    {
        "workflowSpec",
        "schedule",
        "schedules",
        "timezone",
        "concurrencyPolicy",
        "suspend",
        "when",
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
        "workflowMetadata",
        "stopStrategy",
    }
)
