"""The images that the steps run in; `containers/` builds them, CI pushes them."""

from argosy import __version__

REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

TRAINING_TOOLS = f"{REGISTRY}/triton-training-tools:{__version__}"
DEPLOYMENT_TOOLS = f"{REGISTRY}/mlops-deployment-tools:{__version__}"

# Both images run as a user of their own, by number, and need no right beyond; a namespace that enforces the
# Pod Security Standard "restricted" wants the steps to say so.
UNPRIVILEGED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
