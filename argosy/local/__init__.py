"""The local runner: executes a compiled Argo manifest on one machine, step by step, as processes.

With `containers` each step runs in its real image instead.

`check` finds what is wrong before anything starts, `run_manifest` runs. Each difference from a cluster is
documented where it is decided: container paths in `paths`, fields of a manifest in `fields`, the
environment in `environment`.
"""

from argosy.local.check import check
from argosy.local.node import Attempt, Node, Phase, Values
from argosy.local.reporter import NullReporter, Reporter
from argosy.local.result import Plan, WorkflowResult
from argosy.local.run import run_manifest

__all__ = [
    "Attempt",
    "Node",
    "NullReporter",
    "Phase",
    "Plan",
    "Reporter",
    "Values",
    "WorkflowResult",
    "check",
    "run_manifest",
]
