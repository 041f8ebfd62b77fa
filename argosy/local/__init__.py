"""The local runner: executes a compiled Argo manifest on one machine, step by step, as processes.

With `containers` each step runs in its real image instead.

`check.check` finds what is wrong before anything starts, `run_manifest` runs. Each difference from a
cluster is documented where it is decided: container paths in `paths`, fields of a manifest in `fields`,
the environment in `program`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argosy.local.job import NullReporter, Plan, Reporter, WorkflowResult
    from argosy.local.node import Attempt, Node, Phase, Values
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
    "run_manifest",
]
_MODULES = {
    **dict.fromkeys(("Attempt", "Node", "Phase", "Values"), "node"),
    **dict.fromkeys(("NullReporter", "Plan", "Reporter", "WorkflowResult"), "job"),
    "run_manifest": "run",
}


def __getattr__(name: str) -> Any:
    """Load on first use: the history of runs needs neither the runner nor the linter."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
