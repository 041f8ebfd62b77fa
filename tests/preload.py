"""Loads what the steps of training and deployment load."""

import importlib
import pkgutil

from argosy.components import deployment, shared

MODULES = (
    "argosy.components.training.fitting",
    "mlflow.tracking",
    # What drawing the report loads, and most of what storing a network as an exported program does.
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.models",
    "mlflow.pytorch",
    "torch._dynamo",
    "torch._export.serde.serialize",
    "torch._functorch.aot_autograd",
    "torch._inductor.codecache",
    "torch._inductor.ir",
    "torch.export._trace",
    "torch.export.pt2_archive._package",
)

for name in MODULES:
    importlib.import_module(name)
for package in (deployment, shared):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
