"""The files of a registered version, through the MLflow server that keeps them, without importing MLflow.

Only a server that hands out artifacts itself (`mlflow-artifacts:`, MLflow's default) is asked this way; where
a version lies in a bucket or on a disk, MLflow's own client has to read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from argosy.components.shared.fingerprint import MIB
from argosy.components.shared.mlflow_rest import MlflowRefused, RestClient, seconds, serves

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
