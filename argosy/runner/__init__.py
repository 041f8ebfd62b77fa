"""The local runner: executes a compiled Argo manifest on one machine, step by step, as processes.

`check` finds what is wrong before anything starts, `run_manifest` runs. What differs from a cluster is
documented where it is decided: container paths in `paths`, fields of a manifest in `fields`, the
environment in `environment`.
"""

from argosy.runner.check import check
from argosy.runner.node import Attempt, Node, Phase, Values
from argosy.runner.reporter import NullReporter, Reporter
from argosy.runner.result import Plan, WorkflowResult
from argosy.runner.run import run_manifest

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
