"""Where manifests go to."""

import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import urllib3
import yaml

from argosy.cluster.api import Api
from argosy.cluster.argo_server_api import ArgoServerApi
from argosy.cluster.http import Http, shown
from argosy.cluster.kubernetes_api import KubernetesApi
from argosy.declare.names import wrong_name
from argosy.errors import UsageError
from argosy.text import did_you_mean

if TYPE_CHECKING:
    from kubernetes.client import Configuration


POD_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAME = "the Kubernetes API"
T = TypeVar("T")
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}")


def connect(kubeconfig: str | None, context: str | None, pod_dir: Path = POD_DIR) -> tuple[Http, str | None]:
    """The cluster's API, and the namespace that belongs to it.

    The kubeconfig is the given one, else that of $KUBECONFIG, else ~/.kube/config; without one, in a pod,
    the pod's own service account.

    Raises:
        UsageError: there is none, it cannot be read, or it has no such context.
    """
    path = _find(kubeconfig)
    if path is None and context is None and (pod_dir / "token").is_file():
        return _from_pod(pod_dir)
    if path is None:
        raise UsageError(
            "there is no kubeconfig (neither $KUBECONFIG nor ~/.kube/config), and this is no pod; "
            "give one with --kubeconfig"
        )
    return _read(path, lambda: _from_kubeconfig(path, context))


def known_namespace(kubeconfig: str | None, context: str | None, pod_dir: Path = POD_DIR) -> str | None:
    """The namespace of the context, or of the pod, if there is one."""
    path = _find(kubeconfig)
    if path is None:
        return _pod_namespace(pod_dir)
    return _namespace(_read(path, lambda: _context(path, context)))


def _find(kubeconfig: str | None) -> str | None:
    if kubeconfig is not None:
        if not Path(kubeconfig).expanduser().is_file():
            raise UsageError(f"there is no kubeconfig '{kubeconfig}'")
        return kubeconfig
    paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return paths if any(Path(p).expanduser().is_file() for p in paths.split(os.pathsep) if p) else None


def _read(path: str, reading: Callable[[], T]) -> T:
    """Errors of reading in one line, without the content: it holds credentials."""
    from kubernetes.config import ConfigException

    try:
        return reading()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"kubeconfig '{path}{line}' is not YAML") from None
    except ConfigException as error:
        raise UsageError(f"kubeconfig '{path}': {' '.join(str(error).split())}") from None
    except OSError as error:
        raise UsageError(f"kubeconfig '{path}': cannot read '{error.filename}': {error.strerror}") from None
    except (AttributeError, TypeError, KeyError, binascii.Error, UnicodeDecodeError):
        raise UsageError(f"kubeconfig '{path}' is not of the form that it must have") from None


def _context(paths: str, name: str | None) -> dict[str, Any]:
    """The context of that name, else the current one; of several files, the first that says so counts."""
    current, contexts = name, dict[str, Any]()
    for path in filter(None, paths.split(os.pathsep)):
        if Path(path).expanduser().is_file():
            content = yaml.safe_load(Path(path).expanduser().read_bytes())
            if not isinstance(content, dict):
                raise UsageError(f"kubeconfig '{path}' is not of the form that it must have")
            current = current or content.get("current-context")
            contexts = {**{c["name"]: c for c in content.get("contexts") or ()}, **contexts}
    if not current:
        raise UsageError(f"kubeconfig '{paths}' has no current context; name one with --context")
    if current not in contexts:
        raise UsageError(f"kubeconfig '{paths}' has no context '{current}'{did_you_mean(current, contexts)}")
    found: dict[str, Any] = contexts[current]
    return found


def _namespace(context: dict[str, Any]) -> str | None:
    return (context.get("context") or {}).get("namespace") or None


def _from_kubeconfig(path: str, name: str | None) -> tuple[Http, str | None]:
    from kubernetes import client, config

    context = _context(path, name)
    configuration = client.Configuration()
    config.load_kube_config(  # type: ignore[no-untyped-call]
        path, context["name"], configuration, persist_config=False
    )
    return _http(NAME, configuration), _namespace(context)


def _from_pod(pod_dir: Path) -> tuple[Http, str | None]:
    from kubernetes import client
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    configuration = client.Configuration()
    try:
        loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
            str(pod_dir / "token"), str(pod_dir / "ca.crt")
        )
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise UsageError(f"the pod's service account in '{pod_dir}': {error}") from None
    return _http(NAME, configuration), _pod_namespace(pod_dir)


def _pod_namespace(pod_dir: Path) -> str | None:
    try:
        return (pod_dir / "namespace").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _http(name: str, configuration: "Configuration", token: str | None = None) -> Http:
    from kubernetes.client.rest import RESTClientObject

    def credentials() -> str | None:
        if token is not None:
            return token
        setting = configuration.auth_settings().get("BearerToken")
        return setting["value"] if setting else None

    return Http(name, configuration.host, RESTClientObject(configuration).pool_manager, credentials)


def connect_to_url(name: str, url: str, token: str | None, ca_file: str | None, insecure: bool) -> Http:
    """A server by its address, with TLS and the environment's proxies as for a cluster."""
    from kubernetes import client

    configuration = client.Configuration(host=url)
    configuration.verify_ssl = not insecure
    configuration.ssl_ca_cert = ca_file
    return _http(name, configuration, token or "")


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

    def __post_init__(self) -> None:
        _refuse_namespace(self.namespace)

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
            UsageError: there is no kubeconfig, context or token as named, or no namespace has such a name.
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
        _refuse_namespace(namespace)
        return api, namespace or DEFAULT_NAMESPACE

    def _argo_server(self) -> Any:
        url = self.server or ""
        _refuse_address(url)
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


def _refuse_namespace(name: str | None) -> None:
    """Raise UsageError for a name that no namespace has: in an address, '..' would lead out of it."""
    if name and (wrong := wrong_name("namespace", name)):
        raise UsageError(f"there is no such namespace: {wrong}")


def _refuse_address(url: str) -> None:
    """Raise UsageError unless this is the address of a server, with nothing secret in it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        good = False
    if not good:
        example = f"https://{url}" if _HOST_AND_PORT.fullmatch(url) else "https://HOST:PORT"
        raise UsageError(f"--server '{shown(url)}' is no address of an Argo Server; write {example}")
    if "@" in parts.netloc:
        raise UsageError(
            f"--server holds a user or a password, and an Argo Server takes a token: write {shown(url)}, and "
            "give the token in $ARGO_TOKEN or with --token-file"
        )
