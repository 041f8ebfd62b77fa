"""A registry, through the OCI distribution API, and who we are to it.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md

Credentials are from Docker's (or Podman's) configuration, its helpers, or AWS for ECR.
"""

import base64
import binascii
import json
import logging
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from urllib3.exceptions import HTTPError, SSLError

from argosy.code.images import BuildError, Missing, TransientError
from argosy.code.images.layers import Blob
from argosy.code.images.reference import DOCKER_HUB, Reference

_HUB_KEY = "https://index.docker.io/v1/"
_ECR = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_HELPER_SECONDS = 60
T = TypeVar("T")
_LOGGER = logging.getLogger(__name__)
_TIMEOUT = urllib3.Timeout(connect=10, read=120)
_ATTEMPTS, _FIRST_WAIT, _LONGEST_WAIT = 4, 0.2, 5.0
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_CERTIFICATES = Path("/etc/docker/certs.d")
ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
Body = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Credential:
    """A user and a password, or a token that stands for both; `source` says where they come from."""

    user: str
    secret: str = field(repr=False)
    source: str
    is_token: bool = False

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


def credential_for(host: str) -> Credential | None:
    """The credential for a registry, or None: then it is asked as nobody.

    Raises:
        BuildError: a configuration cannot be read, or a helper or AWS fails.
    """
    keys = (_HUB_KEY, "index.docker.io", DOCKER_HUB) if host == DOCKER_HUB else (host, f"https://{host}")
    for file, config in _configurations():
        for key in keys:
            if found := _from_config(file, config, key):
                return found
    return _from_ecr(host) if _ECR.fullmatch(host) else None


def _configurations() -> Iterator[tuple[Path, Mapping[str, Any]]]:
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    candidates = [folder / "config.json"]
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        candidates.insert(0, Path(named))
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / "containers" / "auth.json")
    for file in candidates:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise BuildError(f"cannot read the credentials in '{file}': {error}") from None
        if isinstance(content, dict):
            yield file, content


def _from_config(file: Path, config: Mapping[str, Any], key: str) -> Credential | None:
    helper = (config.get("credHelpers") or {}).get(key)
    if helper:
        return _from_helper(helper, key)
    entry = (config.get("auths") or {}).get(key)
    if entry and (entry.get("auth") or entry.get("identitytoken")):
        return _from_entry(file, entry, key)
    if store := config.get("credsStore"):
        return _from_helper(store, key)
    return None


def _from_entry(file: Path, entry: Mapping[str, Any], key: str) -> Credential:
    try:
        user, colon, secret = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise BuildError(f"{file}: the entry for '{key}' is not readable; log in again") from None
    if token := entry.get("identitytoken"):
        return Credential(user or "<token>", token, str(file), is_token=True)
    if not colon:
        raise BuildError(f"{file}: the entry for '{key}' has no password; log in again")
    return Credential(user, secret, str(file))


def _from_helper(name: str, key: str) -> Credential | None:
    program = f"docker-credential-{name}"
    if shutil.which(program) is None:
        raise BuildError(f"Docker's configuration asks '{program}' for '{key}', and there is no such program")
    try:
        done = subprocess.run(
            [program, "get"], input=key, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{program} gave no credential for '{key}': {error}") from None
    said = " ".join((done.stdout + " " + done.stderr).split())
    if done.returncode:
        if "not found" in said:
            return None
        raise BuildError(f"{program} gave no credential for '{key}': {said}")
    try:
        answer = json.loads(done.stdout)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        raise BuildError(f"{program} answered for '{key}' with what is no credential") from None
    return Credential(user, secret, program, is_token=user == "<token>")


def _from_ecr(host: str) -> Credential:
    match = _ECR.fullmatch(host)
    assert match
    try:
        import boto3  # type: ignore[import-untyped, unused-ignore]
        from botocore.exceptions import (  # type: ignore[import-untyped, unused-ignore]
            BotoCoreError,
            ClientError,
        )
    except ImportError:
        raise BuildError(
            f"'{host}' is ECR's: 'pip install boto3' logs in, or 'docker login {host}'"
        ) from None
    try:
        client = boto3.client("ecr", region_name=match[2])
        answer = client.get_authorization_token(registryIds=[match[1]])
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
    except (BotoCoreError, ClientError) as error:
        raise BuildError(f"AWS gives no login for '{host}': {' '.join(str(error).split())}") from None
    user, _, secret = token.partition(":")
    return Credential(user, secret, "AWS")


class Registry:
    """One registry. Safe to use from several threads.

    Args:
        host: as it stands in an image's name.
        plain: speak HTTP without TLS; by default only where a registry on this machine has no TLS.
        credentials: who we are, asked once and only when the registry wants to know.

    Attributes:
        sent: bytes of content that were sent to it.
    """

    def __init__(
        self,
        host: str,
        *,
        plain: bool | None = None,
        credentials: Callable[[str], Credential | None] = credential_for,
    ) -> None:
        self.host = host
        self.sent = 0
        self._api = "registry-1.docker.io" if host == DOCKER_HUB else host
        self._plain = plain
        self._credentials = credentials
        self._credential: Credential | None = None
        self._asked = False
        self._tokens: dict[str, str] = {}
        self._lock = threading.RLock()
        self._pool = _pool(self._api)

    def manifest(self, image: Reference) -> tuple[bytes, str]:
        """An image's manifest, or its index, and the media type of it.

        Raises:
            Missing: there is no such image.
            BuildError: the registry does not give it.
        """
        path = f"{image.repository}/manifests/{image.version}"
        try:
            response = self._call("GET", path, _pull(image), headers={"Accept": ACCEPTED})
        except Missing:
            raise Missing(f"there is no image '{image}'") from None
        return response.data, response.headers.get("Content-Type", "")

    def digest(self, image: Reference) -> str | None:
        """The digest of an image that is there."""
        path = f"{image.repository}/manifests/{image.version}"
        try:
            response = self._call("HEAD", path, _push(image), headers={"Accept": ACCEPTED})
        except Missing:
            return None
        return response.headers.get("Docker-Content-Digest")

    def has(self, image: Reference, digest: str) -> bool:
        """Whether the image's repository has a blob."""
        try:
            self._call("HEAD", f"{image.repository}/blobs/{digest}", _push(image))
        except Missing:
            return False
        return True

    def blob(self, image: Reference, digest: str) -> bytes:
        """A small blob, whole."""
        return self._call("GET", f"{image.repository}/blobs/{digest}", _pull(image)).data

    def stream(self, image: Reference, digest: str) -> Iterator[bytes]:
        """A blob, piece by piece, as the registry sends it."""
        path = f"{image.repository}/blobs/{digest}"
        response = self._call("GET", path, _pull(image), preload=False)
        try:
            yield from response.stream(1 << 20)
        except (HTTPError, OSError) as error:
            raise TransientError(f"{self.host} stopped in the middle of {digest}: {_reason(error)}") from None
        finally:
            response.release_conn()

    def mount(self, image: Reference, digest: str, source: Reference) -> str | None:
        """Have a blob of another repository here without sending it.

        Returns None if that was done, else the address of an upload that the registry has opened instead.
        """
        query = urlencode({"mount": digest, "from": source.repository})
        scope = f"{_push(image)} {_pull(source)}"
        response = self._call("POST", f"{image.repository}/blobs/uploads/?{query}", scope)
        return None if response.status == 201 else self._location(response)

    def upload(self, image: Reference, blob: Blob) -> None:
        """Send a blob that is here."""
        self.send(image, blob.digest, blob.size, blob.chunks)

    def send(self, image: Reference, digest: str, size: int, body: Body, location: str | None = None) -> None:
        """Send a blob, whose bytes `body` gives anew for every attempt."""
        opened = [location] if location else []

        def attempt() -> None:
            address = opened.pop() if opened else self._open_upload(image)
            separator = "&" if "?" in address else "?"
            url = f"{address}{separator}{urlencode({'digest': digest})}"
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            self._once("PUT", url, _push(image), headers, body, True)

        self._patiently(attempt)
        self._count(size)

    def put_manifest(self, image: Reference, data: bytes, media_type: str) -> str | None:
        """Store a manifest under the image's tag or digest.

        Returns the digest of the image that it refers to, where the registry keeps lists of referrers.
        """
        path = f"{image.repository}/manifests/{image.version}"
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        response = self._call("PUT", path, _push(image), headers=headers, body=lambda: (data,))
        if response.status != 201 and "Docker-Content-Digest" not in response.headers:
            raise BuildError(f"{self.host} stored no image: it is no registry, or a proxy is in the way")
        self._count(len(data))
        return response.headers.get("OCI-Subject")

    def _open_upload(self, image: Reference) -> str:
        return self._location(self._call("POST", f"{image.repository}/blobs/uploads/", _push(image)))

    def _location(self, response: urllib3.BaseHTTPResponse) -> str:
        location = response.headers.get("Location")
        if not location:
            raise BuildError(f"{self.host} opened no upload: it is no registry, or a proxy is in the way")
        return urljoin(self._base(), location)

    def _count(self, size: int) -> None:
        with self._lock:
            self.sent += size

    def _call(
        self,
        method: str,
        path: str,
        scope: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        preload: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        def attempt() -> urllib3.BaseHTTPResponse:
            url = f"{self._base()}/v2/{path}"
            return self._once(method, url, scope, dict(headers or {}), body, preload)

        return self._patiently(attempt)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        return Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            retry=retry_if_exception_type(TransientError),
            reraise=True,
        )(attempt)

    def _once(
        self,
        method: str,
        url: str,
        scope: str,
        headers: dict[str, str],
        body: Body | None,
        preload: bool,
    ) -> urllib3.BaseHTTPResponse:
        """One request; a second one where the registry asks who we are."""
        response = self._ask(method, url, {**headers, **self._authorization(scope)}, body, preload)
        if response.status == 401:
            self._log_in(response, scope)
            response = self._ask(method, url, {**headers, **self._authorization(scope)}, body, preload)
        _LOGGER.debug("%s %s: %s", method, url, response.status)
        if not 200 <= response.status < 300:
            raise self._error(response, method, url)
        return response

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None, preload: bool
    ) -> urllib3.BaseHTTPResponse:
        headers = {"User-Agent": "argosy", **headers}
        try:
            return self._pool.request(
                method,
                url,
                body=body() if body else None,
                headers=headers,
                timeout=_TIMEOUT,
                retries=urllib3.Retry(connect=0, read=0, redirect=5, status=0, other=0),
                preload_content=preload,
            )
        except (HTTPError, OSError) as error:
            cause = getattr(error, "reason", None)
            cause = cause if isinstance(cause, Exception) else error
            if isinstance(cause, SSLError):
                raise BuildError(
                    f"{self.host}: TLS failed: {_reason(cause)}; put its authority into SSL_CERT_FILE or "
                    f"{_CERTIFICATES / self.host}"
                ) from cause
            raise TransientError(f"{self.host} cannot be reached: {_reason(cause)}") from error

    def _base(self) -> str:
        with self._lock:
            if self._plain is None:
                self._plain = self._speaks_plainly()
        return f"{'http' if self._plain else 'https'}://{self._api}"

    def _speaks_plainly(self) -> bool:
        """Whether a registry of this machine has no TLS: there Docker takes it, too."""
        name = urlsplit(f"//{self._api}").hostname or ""
        if not (name == "localhost" or name.startswith("127.") or name == "::1"):
            return False
        try:
            self._ask("GET", f"https://{self._api}/v2/", {}, None, True)
        except TransientError:
            return True  # the same request, in plain, then says what is wrong
        except BuildError as error:
            return "CERTIFICATE" not in str(error.__cause__).upper()
        return False

    def _authorization(self, scope: str) -> dict[str, str]:
        with self._lock:
            token = self._tokens.get(scope) or self._tokens.get("")
        return {"Authorization": token} if token else {}

    def _log_in(self, response: urllib3.BaseHTTPResponse, scope: str) -> None:
        kind, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        with self._lock:
            if not self._asked:
                self._credential, self._asked = self._credentials(self.host), True
            if kind.lower() == "bearer":
                self._tokens[scope] = f"Bearer {self._token(dict(_CHALLENGE.findall(rest)), scope)}"
            elif kind.lower() == "basic":
                if self._credential is None:
                    raise self._refused()
                self._tokens[""] = self._credential.basic
            else:
                raise BuildError(f"{self.host} wants a login of a kind that is not known: '{kind}'")

    def _token(self, challenge: Mapping[str, str], scope: str) -> str:
        realm, service = challenge.get("realm", ""), challenge.get("service", "")
        if not realm.startswith(("https://", "http://")):
            raise BuildError(f"{self.host} names no place to log in")
        who = self._credential
        if realm.startswith("http://") and who and not self._plain:
            raise BuildError(f"{self.host} wants its password sent to {realm}, which has no TLS")
        if who and who.is_token:
            form = {"grant_type": "refresh_token", "refresh_token": who.secret, "service": service}
            data = urlencode({**form, "scope": scope, "client_id": "argosy"}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = self._ask("POST", realm, headers, lambda: (data,), True)
        else:
            query = urlencode([("service", service), *(("scope", s) for s in scope.split(" "))])
            headers = {"Authorization": who.basic} if who else {}
            response = self._ask("GET", f"{realm}?{query}", headers, None, True)
        if response.status in (400, 401, 403):
            raise self._refused()
        if response.status != 200:
            raise self._error(response, "GET", realm)
        try:
            answer = json.loads(response.data)
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise BuildError(f"{urlsplit(realm).netloc} gave no token for {self.host}") from None

    def _refused(self) -> BuildError:
        who = self._credential
        if who is None:
            return BuildError(
                f"not logged in to {self.host}: run 'docker login {self.host}' or 'podman login'"
            )
        return BuildError(
            f"{self.host} refuses '{who.user}' with the password from {who.source}: log in again"
        )

    def _error(self, response: urllib3.BaseHTTPResponse, method: str, url: str) -> BuildError:
        code, message = _problem(response)
        said = f" ({code}: {message})" if code or message else ""
        status, words = response.status, f"{code} {message}".lower()
        if status == 401:
            return self._refused()
        if status == 429 or "toomanyrequests" in words:
            return TransientError(f"{self.host} allows no more requests for now{said}: wait, or log in")
        if status in (413, 507) or "quota" in words or "no space" in words:
            return BuildError(f"{self.host} has no room for it{said or f' ({status})'}")
        if status == 403:
            who = f"'{self._credential.user}'" if self._credential else "whoever is not logged in"
            return BuildError(f"{self.host} does not allow {who} to do this: {method} {_path(url)}{said}")
        if status == 404:
            return Missing(f"{self.host} does not have {_path(url)}{said}")
        kind = TransientError if status >= 500 else BuildError
        return kind(f"{self.host} answers {status} to {method} {_path(url)}{said}")


def _pull(image: Reference) -> str:
    return f"repository:{image.repository}:pull"


def _push(image: Reference) -> str:
    return f"repository:{image.repository}:pull,push"


def _path(url: str) -> str:
    return urlsplit(url).path.removeprefix("/v2/")


def _problem(response: urllib3.BaseHTTPResponse) -> tuple[str, str]:
    """The first error that the registry names, as code and message."""
    try:
        first = json.loads(response.data)["errors"][0]
        return str(first.get("code", "")), " ".join(str(first.get("message", "")).split())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, HTTPError):
        return "", ""


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if said := re.search(r"\[Errno [^\]]*\] ([^()']+)", text):
        return said[1].strip()
    for mark in ("Caused by ", "Failed to establish a new connection: "):
        text = text.rpartition(mark)[2] or text
    return text.strip("()'\"")


def _pool(api: str) -> urllib3.PoolManager:
    context = ssl.create_default_context()
    for authority in sorted((_CERTIFICATES / api).glob("*.crt")):
        context.load_verify_locations(authority)
    name = urlsplit(f"//{api}").hostname or api
    proxy = None if proxy_bypass(name) else getproxies().get("https")
    if proxy:
        return urllib3.ProxyManager(proxy, ssl_context=context, maxsize=8)
    return urllib3.PoolManager(ssl_context=context, maxsize=8)
