"""The fields of a manifest that the local runner obeys. Data only.

A field's value names the kind of object inside it (`[]`: a list of them; "": anything). What is not here is
in `fields_refused`, or it is an error.
"""

from __future__ import annotations

from argosy.runner.fields_refused import FETCHED_INPUTS

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
        "workflowMetadata": "",
    },
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
    },
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
    "hooks": {"exit": "hook"},
    "hook": {"template": "", "arguments": "arguments"},
    "retry": {"limit": "", "retryPolicy": "", "backoff": "backoff", "expression": ""},
    "backoff": {"duration": "", "factor": "", "maxDuration": "", "cap": ""},
    "inputs": {"parameters": "[]input", "artifacts": "[]inputArtifact"},
    "arguments": {"parameters": "[]argument", "artifacts": "[]argumentArtifact"},
    "outputs": {"parameters": "[]output", "artifacts": "[]outputArtifact"},
    "input": {"name": "", "value": "", "default": "", "enum": ""},
    "argument": {"name": "", "value": "", "default": "", "enum": ""},
    "output": {"name": "", "valueFrom": "outputSource", "globalName": "", "default": "", "value": ""},
    "outputSource": {"path": "", "parameter": "", "default": ""},
    "inputArtifact": {"name": "", "path": "", "raw": "raw", "optional": "", "mode": ""},
    "argumentArtifact": {"name": "", "from": "", "raw": "raw", "subPath": "", "optional": ""},
    "outputArtifact": {"name": "", "path": "", "from": "", "optional": "", "globalName": ""},
    "raw": {"data": ""},
    "container": {"command": "", "args": "", "env": "[]env", "workingDir": "", "volumeMounts": "[]mount"},
    "script": {"command": "", "source": "", "env": "[]env", "workingDir": "", "volumeMounts": "[]mount"},
    "env": {"name": "", "value": "", "valueFrom": "envSource"},
    "envSource": {"secretKeyRef": "keyRef", "configMapKeyRef": "keyRef", "fieldRef": "fieldRef"},
    "keyRef": {"name": "", "key": "", "optional": ""},
    "fieldRef": {"fieldPath": ""},
    "mount": {"name": "", "mountPath": ""},
}

USED["inputArtifact"].update(dict.fromkeys(FETCHED_INPUTS, ""))

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
