"""Where manifests go to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from argosy.cluster.api import Api
from argosy.cluster.argo_server_api import ArgoServerApi
from argosy.cluster.http import shown
from argosy.cluster.kubeconfig import connect, connect_to_url, known_namespace
from argosy.cluster.kubernetes_api import KubernetesApi
from argosy.errors import UsageError

TOKEN_VARIABLE = "ARGO_TOKEN"
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A cluster and a namespace there; what is None is found out.

    Attributes:
        namespace: else the manifest's, else the kubeconfig context's, else the pod's, else "default".
        kubeconfig: a path; else $KUBECONFIG, else ~/.kube/config, else the pod's service account.
        context: of the kubeconfig; else its current one.
        server: the address of an Argo Server, to go through it and not through the Kubernetes API.
        token_file: of the token for Argo Server; else $ARGO_TOKEN, else none.
        ca_file: the certificate authorities that Argo Server's certificate is checked with.
        insecure: do not check it.
    """

    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    server: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    insecure: bool = False

    def over(self, other: "Destination") -> "Destination":
        """This one, and `other` where this one says nothing."""
        return Destination(**{f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)})

    def words(self) -> list[str]:
        """The options of a command line that lead to the same cluster; the namespace is not among them."""
        named = {
            "--context": self.context,
            "--kubeconfig": self.kubeconfig,
            "--server": self.server,
            "--token-file": self.token_file,
            "--ca-file": self.ca_file,
        }
        words = [word for option, value in named.items() if value for word in (option, value)]
        return [*words, "--insecure-skip-tls-verify"] if self.insecure else words

    def connect(self, manifest: Mapping[str, Any]) -> tuple[Api, str]:
        """The server, and the namespace for a manifest.

        Raises:
            UsageError: there is no kubeconfig, context or token as named.
        """
        api: Api
        if self.server:
            api, own = ArgoServerApi(self._argo_server()), None
        else:
            http, own = connect(self.kubeconfig, self.context)
            api = KubernetesApi(http)
        namespace = self.namespace or (manifest.get("metadata") or {}).get("namespace") or own
        if not namespace and self.server:
            namespace = known_namespace(self.kubeconfig, self.context)
        return api, namespace or DEFAULT_NAMESPACE

    def _argo_server(self) -> Any:
        url = self.server or ""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise UsageError(f"'{shown(url)}' is no address of an Argo Server; write https://HOST:PORT")
        if self.ca_file and not Path(self.ca_file).is_file():
            raise UsageError(f"there is no file '{self.ca_file}' of certificate authorities")
        if self.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return connect_to_url("Argo Server", url, self._token(), self.ca_file, self.insecure)

    def _token(self) -> str | None:
        text = os.environ.get(TOKEN_VARIABLE, "")
        if self.token_file:
            try:
                text = Path(self.token_file).read_text(encoding="utf-8")
            except OSError as error:
                raise UsageError(f"cannot read the token in '{self.token_file}': {error.strerror}") from None
            except UnicodeDecodeError:
                raise UsageError(f"'{self.token_file}' holds no token: it is not text") from None
            if not text.strip():
                raise UsageError(f"the token file '{self.token_file}' is empty")
        token = text.strip().removeprefix("Bearer ").strip()
        return f"Bearer {token}" if token else None
