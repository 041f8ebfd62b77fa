"""Downloading single files of a registered version, as large as MLflow says that they are.

MLflow's client tries again until an answer begins (see `shared.mlflow_server`); an answer that breaks off in
the middle, or comes short, is fetched again here, at most four times in all.
"""

from __future__ import annotations

import logging
import posixpath
import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from requests.exceptions import RequestException
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from argosy.components.shared import registry
from argosy.components.shared.fingerprint import MIB
from argosy.components.shared.mlflow_rest import MlflowRefused, ServedFiles, served_files
from argosy.errors import StepError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

# MLflow hands on the text of what broke a download, not the exception.
_BROKEN = re.compile(
    r"IncompleteRead|ChunkedEncoding|RemoteDisconnected|ProtocolError|timed out"
    r"|[Cc]onnection (?:broken|reset|aborted|refused)"
)
_HEADING = re.compile(r"(?s)^.*?##### File .*? #####\s*")


class _Incomplete(Exception):
    """A download broke off, or brought fewer bytes than there are."""


@dataclass(frozen=True)
class SourceFiles:
    """The files of a registered version, and the folder that they are downloaded to."""

    version: ModelVersion
    folder: Path

    def download(self, name: str) -> Path:
        """Download one file to the same name below the folder.

        Raises:
            StepError: there is no such file, or the server failed or broke off on each of four tries.
        """
        where = f"{self._root}/{name}"
        self.folder.mkdir(exist_ok=True)
        begun, size = time.monotonic(), self._size(name)
        tries = Retrying(
            retry=retry_if_exception_type(_Incomplete),
            stop=stop_after_attempt(4),
            wait=wait_random_exponential(multiplier=0.5, max=5),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        try:
            path = tries(self._download, where, name, size)
        except _Incomplete as error:
            raise StepError(f"{error} on each of four tries: check the server and the network") from error
        got, seconds = path.stat().st_size / MIB, max(time.monotonic() - begun, 1e-3)
        log.info("downloaded %s, %.2f MB, %.1f MB/s", where, got, got / seconds)
        return path

    @property
    def _root(self) -> str:
        return f"models:/{self.version.name}/{self.version.version}"

    def _size(self, name: str) -> int | None:
        """A file's size in bytes, where the artifact store tells it.

        Raises:
            StepError: there is no such file.
        """
        folder, base = posixpath.split(name)
        with registry.mlflow_errors(f"list the files of {self._root}"):
            listed = self._served.sizes(folder) if self._served else self._listed(folder)
        if base in listed:
            return listed[base]
        there = ", ".join(sorted(listed)) or "nothing"
        raise StepError(f"{self._root} has no file {name!r}; there is {there[:500]}")

    @cached_property
    def _served(self) -> ServedFiles | None:
        with registry.mlflow_errors(f"find the files of {self._root}"):
            return served_files(registry.current_uri(), self.version.name, str(self.version.version))

    def _listed(self, folder: str) -> dict[str, int | None]:
        import mlflow.artifacts

        listed = mlflow.artifacts.list_artifacts(artifact_uri=posixpath.join(self._root, folder))
        return {posixpath.basename(e.path): e.file_size for e in listed or () if not e.is_dir}

    def _download(self, where: str, name: str, size: int | None) -> Path:
        with registry.mlflow_errors(f"download {where}"):
            try:
                found = self._get(where, name)
            except registry.failures() as error:
                text = " ".join(_HEADING.sub("", str(error)).split())
                if isinstance(error, RequestException) or _BROKEN.search(text):
                    raise _Incomplete(f"the download of {where} broke off: {text[:300]}") from error
                raise MlflowRefused(text, "") from error
        if found.resolve() != (self.folder / name).resolve() or not found.is_file():
            raise StepError(f"{where} is no single file")
        got = found.stat().st_size
        if size is not None and got != size:
            raise _Incomplete(f"the download of {where} brought {got} of {size} bytes")
        return found

    def _get(self, where: str, name: str) -> Path:
        if not self._served:
            import mlflow.artifacts

            return Path(mlflow.artifacts.download_artifacts(where, dst_path=str(self.folder)))
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._served.download(name, path)
        return path
