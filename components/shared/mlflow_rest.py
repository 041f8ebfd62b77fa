"""MLflow's model registry over its REST API, without importing MLflow: that alone takes a step seconds.

`RestClient` has those methods of `mlflow.MlflowClient` that `registry` uses, under the same names; what they
return has the same attributes.  Settings are MLflow's own environment variables.  Where a server needs more
than them (a plugin for authentication, signed requests, an address that is not HTTP), `serves` says no, and
MLflow itself has to do it.

Artifacts are read from a server that hands them out itself (`mlflow-artifacts:`, MLflow's default); where a
version lies in a bucket or on a disk, MLflow's own client has to read it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from argosy.components.shared.files import MIB

log = logging.getLogger(__name__)

API = "/api/2.0/mlflow/"
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_BEYOND_US = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_WORKSPACE")
_PAGE = 200


class MlflowRefused(Exception):
    """The server answered with an error; `error_code` is MLflow's, as RESOURCE_DOES_NOT_EXIST."""

    def __init__(self, message: str, error_code: str) -> None:
        super().__init__(message)
        self.error_code = error_code


@dataclass(frozen=True)
class RestModel:
    """A registered model: alias -> version."""

    name: str
    aliases: Mapping[str, str]


@dataclass(frozen=True)
class RestVersion:
    """A version of a registered model."""

    name: str
    version: str
    run_id: str
    source: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class RestRunInfo:
    """A run's names, and whether it was deleted (`lifecycle_stage`)."""

    run_id: str
    run_name: str
    lifecycle_stage: str


@dataclass(frozen=True)
class RestRunData:
    """A run's logged values; of each metric the last one."""

    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class RestRun:
    """A run."""

    info: RestRunInfo
    data: RestRunData


def serves(tracking_uri: str) -> bool:
    """Whether `RestClient` can reach this server with what the environment says."""
    address = urlsplit(tracking_uri)
    beyond = [name for name in _BEYOND_US if os.environ.get(name, "").lower() not in ("", "false", "0")]
    kept = Path("~/.mlflow/credentials").expanduser().exists()
    return address.scheme in ("http", "https") and bool(address.hostname) and not beyond and not kept


def session() -> requests.Session:
    """A session with MLflow's own settings: retries, credentials, certificates."""
    tries = Retry(
        total=int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")),
        backoff_factor=float(os.environ.get("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")),
        status_forcelist=_TRANSIENT,
        allowed_methods=None,
        raise_on_status=False,
    )
    made = requests.Session()
    made.mount("http://", HTTPAdapter(max_retries=tries))
    made.mount("https://", HTTPAdapter(max_retries=tries))
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{what}") for what in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user and password:
        made.auth = (user, password)
    elif token:
        made.headers["Authorization"] = f"Bearer {token}"
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        made.verify = False
    elif authority := os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        made.verify = authority
    made.cert = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
    return made


def seconds() -> float:
    """How long to wait for an answer."""
    return float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"))


@dataclass(frozen=True)
class RestClient:
    """The registry of the server at `tracking_uri`.

    Every method raises `MlflowRefused` where the server refuses, and what `requests` raises where it does not
    answer.
    """

    tracking_uri: str
    session: requests.Session = field(default_factory=session, repr=False, compare=False)

    def search_experiments(self, max_results: int) -> list[Any]:
        """The first experiments: a question that every server can answer."""
        found = self._call("POST", "experiments/search", max_results=max_results)
        return list(found.get("experiments", ()))

    def get_run(self, run_id: str) -> RestRun:
        """A run with its metrics, parameters and tags."""
        run = self._call("GET", "runs/get", run_id=run_id)["run"]
        info, data = run["info"], run.get("data", {})
        metrics = {metric["key"]: float(metric["value"]) for metric in data.get("metrics", ())}
        return RestRun(
            RestRunInfo(info["run_id"], info.get("run_name", ""), info["lifecycle_stage"]),
            RestRunData(metrics, _pairs(data.get("params")), _pairs(data.get("tags"))),
        )

    def get_registered_model(self, name: str) -> RestModel:
        """A model and its aliases."""
        model = self._call("GET", "registered-models/get", name=name)["registered_model"]
        return RestModel(name, {entry["alias"]: str(entry["version"]) for entry in model.get("aliases", ())})

    def create_registered_model(self, name: str) -> None:
        """Make a model without versions."""
        self._call("POST", "registered-models/create", name=name)

    def get_model_version(self, name: str, version: str) -> RestVersion:
        """One version of a model."""
        return _version(self._call("GET", "model-versions/get", name=name, version=version)["model_version"])

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Where the version's files lie, as an address of MLflow's."""
        return str(
            self._call("GET", "model-versions/get-download-uri", name=name, version=version)["artifact_uri"]
        )

    def search_model_versions(self, filter_string: str) -> list[RestVersion]:
        """Every version that MLflow's filter lets through, page by page."""
        return [_version(entry) for page in self._pages(filter_string) for entry in page]

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._call("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias; one that is not set stays so."""
        self._call("DELETE", "registered-models/alias", name=name, alias=alias)

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Write a tag on a version."""
        self._call("POST", "model-versions/set-tag", name=name, version=version, key=key, value=value)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Remove a tag of a version."""
        self._call("DELETE", "model-versions/delete-tag", name=name, version=version, key=key)

    def _pages(self, filter_string: str) -> Iterator[list[dict[str, Any]]]:
        query: dict[str, Any] = {"filter": filter_string, "max_results": _PAGE}
        while True:
            page = self._call("GET", "model-versions/search", **query)
            yield page.get("model_versions", [])
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def _call(self, method: str, what: str, **fields: Any) -> dict[str, Any]:
        body = {"params": fields} if method == "GET" else {"json": fields}
        url = self.tracking_uri.rstrip("/") + API + what
        answer = self.session.request(method, url, timeout=seconds(), **body)  # type: ignore[arg-type]
        found = _json(answer)
        if answer.status_code != requests.codes.ok:
            message = found.get("message") or f"the answer is {answer.status_code} {answer.reason}"
            raise MlflowRefused(str(message), str(found.get("error_code", "")))
        return found


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    if answer.status_code == requests.codes.ok:
        raise MlflowRefused("the answer is not MLflow's: another server has this address", "")
    return {}


def _version(entry: Mapping[str, Any]) -> RestVersion:
    return RestVersion(
        name=entry["name"],
        version=str(entry["version"]),
        run_id=entry.get("run_id", ""),
        source=entry.get("source", ""),
        tags=_pairs(entry.get("tags")),
        aliases=tuple(entry.get("aliases", ())),
    )


def _pairs(entries: Any) -> dict[str, str]:
    return {entry["key"]: entry.get("value", "") for entry in entries or ()}


_PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True)
class ServedFiles:
    """The folder `root` of the artifacts that the server of `client` hands out.

    Every method raises `MlflowRefused` where the server refuses, and what `requests` raises where it does not
    answer or breaks off.
    """

    client: RestClient
    root: str

    def sizes(self, folder: str) -> dict[str, int | None]:
        """The files directly in a folder below the root: name -> size in bytes, None where it is not told."""
        path = f"{self.root}/{folder}".rstrip("/")
        with self._get("", params={"path": path}) as answer:
            entries = answer.json().get("files", ())
        names = ((entry["path"].rpartition("/")[2], entry) for entry in entries if not entry.get("is_dir"))
        return {name: _size(entry) for name, entry in names}

    def download(self, name: str, path: Path) -> None:
        """Write the bytes of one file below the root to `path`."""
        with self._get(f"/{quote(f'{self.root}/{name}')}", stream=True) as answer, path.open("wb") as file:
            for chunk in answer.iter_content(MIB):
                file.write(chunk)

    def _get(self, path: str, **options: Any) -> requests.Response:
        url = self.client.tracking_uri.rstrip("/") + _PROXY + path
        answer = self.client.session.get(url, timeout=seconds(), **options)
        if answer.status_code != requests.codes.ok:
            raise MlflowRefused(f"the answer is {answer.status_code} {answer.reason}", "")
        return answer


def served_files(tracking_uri: str, name: str, version: str) -> ServedFiles | None:
    """The files of a version; None where the server does not hand them out itself.

    Raises:
        MlflowRefused, requests.RequestException: the server refused or did not answer.
    """
    if not serves(tracking_uri):
        return None
    client = RestClient(tracking_uri)
    place = urlsplit(client.get_model_version_download_uri(name, version))
    own_host = place.netloc in ("", urlsplit(tracking_uri).netloc.rpartition("@")[2])
    if place.scheme != "mlflow-artifacts" or not own_host:
        return None
    return ServedFiles(client, place.path.strip("/"))


def _size(entry: dict[str, Any]) -> int | None:
    return None if entry.get("file_size") is None else int(entry["file_size"])
