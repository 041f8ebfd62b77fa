"""The options that say where a manifest goes to."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_CLUSTER = (
    click.option("-n", "--namespace", help="Default: the manifest's, else the kubeconfig context's."),
    click.option("--context", help="A context of the kubeconfig; default: its current one."),
    click.option(
        "--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, ~/.kube/config, or the pod's own."
    ),
)
_ARGO_SERVER = (
    click.option("--server", metavar="URL", help="Go through this Argo Server, not the Kubernetes API."),
    click.option("--token-file", metavar="FILE", help="The token for --server; default: $ARGO_TOKEN."),
    click.option("--ca-file", metavar="FILE", help="Certificate authorities for --server."),
    click.option("--insecure-skip-tls-verify", "insecure", is_flag=True, help="Trust --server unseen."),
)


def cluster_options(command: F) -> F:
    """`-n`, `--context` and `--kubeconfig`."""
    for option in reversed(_CLUSTER):
        command = option(command)
    return command


def argo_server_options(command: F) -> F:
    """`--server` and what belongs to it."""
    for option in reversed(_ARGO_SERVER):
        command = option(command)
    return command
