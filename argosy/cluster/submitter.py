"""The object that a program hands to `couler.run`.

```python
import couler.argo as couler
from argosy.cluster import ArgosySubmitter

...                                     # components and Couler's own verbs
couler.run(submitter=ArgosySubmitter(namespace="ml"))
```
"""

import logging
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import couler.argo  # noqa: F401 - now, so that it can be kept from printing at the end
from couler.argo_submitter import ArgoSubmitter

from argosy.cluster.delivery import deliver, secret_manifests
from argosy.cluster.destination import Destination
from argosy.code.bundle.attach import attach
from argosy.compose.settings import IMAGES, Settings
from argosy.errors import UsageError
from argosy.step.quiet import keep_couler_quiet

_LOGGER = logging.getLogger(__name__)
keep_couler_quiet()


class Deliver(Protocol):
    """Submits the manifest of a program; its result is that of `couler.run` returns."""

    def __call__(
        self, manifest: dict[str, Any], secrets: list[dict[str, Any]], destination: Destination
    ) -> Any: ...


def _send(manifest: dict[str, Any], secrets: list[dict[str, Any]], destination: Destination) -> Any:
    settings, folders = Settings.find(), sys.path[:1]
    if (settings.folder / IMAGES).is_file():
        from argosy.code.images.recipe import with_images

        manifest = with_images(manifest, settings, folders)
    attached = attach(manifest, settings, folders)
    for note in attached.notes:
        _LOGGER.warning("%s", note)
    api, namespace = destination.connect(manifest)
    return deliver(api, namespace, attached.manifest, secrets, code=attached.config_map).answer


_deliver: ContextVar[Deliver] = ContextVar("argosy_deliver", default=_send)


@contextmanager
def delivering(to: Deliver) -> Iterator[None]:
    """Inside this block programs submit to `to`."""
    token = _deliver.set(to)
    try:
        yield
    finally:
        _deliver.reset(token)


class ArgosySubmitter(ArgoSubmitter):  # type: ignore[misc]  # couler carries no types
    """Delivers the manifest that Argosy compiles from the program, and returns the API's answer.

    A program that imports this class from `argosy.cluster` composes from there on: its components become
    tasks, as Couler's steps do.

    Args:
        namespace: else the manifest's, the kubeconfig context's, the pod's, or "default".
        kubeconfig: a path; else $KUBECONFIG, ~/.kube/config, or the pod's service account.
        context: of the kubeconfig; else its current one.
        server, token_file, ca_file, insecure: an Argo Server, as in `Destination`.
    """

    def __init__(
        self,
        namespace: str | None = None,
        kubeconfig: str | Path | None = None,
        context: str | None = None,
        *,
        server: str | None = None,
        token_file: str | Path | None = None,
        ca_file: str | Path | None = None,
        insecure: bool = False,
    ) -> None:
        # Not Couler's own initialiser: it looks for a cluster and sets up the program's logging.
        self.namespace = namespace
        self.go_impl = False
        self.destination = Destination(
            namespace=namespace,
            kubeconfig=None if kubeconfig is None else str(kubeconfig),
            context=context,
            server=server,
            token_file=None if token_file is None else str(token_file),
            ca_file=None if ca_file is None else str(ca_file),
            insecure=insecure,
        )

    def submit(self, workflow_yaml: dict[str, Any], secrets: Iterable[Any] | None = None) -> Any:
        """Deliver a manifest: what `couler.run` passes, or one that `argosy.compile` made.

        Raises:
            UsageError: it is one of Couler's own making, because this class was not imported by the
                program that runs.
            SubmitError: the server, or the way to it, failed.
        """
        if isinstance(workflow_yaml, OrderedDict):
            raise UsageError(
                "Couler composed by itself; import ArgosySubmitter at the top of the program that Python "
                "runs, or run it with 'couler run FILE.py'"
            )
        return _deliver.get()(workflow_yaml, secret_manifests(secrets), self.destination)
