"""The registered ONNX model: its files, downloaded and checked, and what MLflow knows of it.

MLflow's client tries again until an answer begins (see `shared.registry`); an answer that breaks off in the
middle, or comes short, is fetched again here, at most four times in all.
"""

from __future__ import annotations

import logging
import math
import posixpath
import re
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from requests.exceptions import RequestException
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from argosy.components.deployment.model.layout import (
    MODEL_FILE,
    VALIDATION_METRICS,
    Metadata,
    MlflowOrigin,
    ModelFacts,
    ValidationFacts,
    identity,
)
from argosy.components.deployment.model.onnx_model import (
    MAX_PROTOBUF_BYTES,
    Signature,
    check_model,
    data_files,
    embed,
    embedded_size,
    load_graph,
    pack,
    signature_of,
    training_run_of,
)
from argosy.components.shared import registry
from argosy.components.shared.files import MIB, sha256_of
from argosy.components.shared.mlflow_rest import MlflowRefused, ServedFiles, served_files
from argosy.components.shared.retries import before_next
from argosy.errors import StepError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_DEPLOY = "deploy"  # the alias that Gate 2 sets
# MLflow hands on the text of what broke a download, not the exception.
_BROKEN = re.compile(
    r"IncompleteRead|ChunkedEncoding|RemoteDisconnected|ProtocolError|timed out"
    r"|[Cc]onnection (?:broken|reset|aborted|refused)"
)
_HEADING = re.compile(r"(?s)^.*?##### File .*? #####\s*")


@dataclass(frozen=True)
class SourceModel:
    """A downloaded and checked model.

    Attributes:
        file: the one file that travels on (see `bundle`).
        signature: its inputs and outputs.
        files: name -> size in bytes and SHA-256 of model.onnx and its data files.
        training_run_id: the run that trained it, as the file says; "" where it does not.
    """

    file: Path
    signature: Signature
    files: Mapping[str, tuple[int, str]]
    training_run_id: str = ""

    @property
    def sha256(self) -> str:
        """One checksum for all of it."""
        return identity({name: sha256 for name, (_, sha256) in self.files.items()})


def fetch(version: ModelVersion, folder: Path, single_file_bytes: int = MAX_PROTOBUF_BYTES) -> SourceModel:
    """Download a version's model.onnx and the data files that it names, check them, and make them one file.

    Args:
        version: the registered version.
        folder: where to; holds `model.onnx`, the one file, afterwards.
        single_file_bytes: a model up to this size gets its weights inside of model.onnx.

    Raises:
        StepError: a file is missing, truncated or no ONNX, a data file lies outside of the model's folder,
            or the server failed.
    """
    source = SourceFiles(version, folder / "download")
    model = source.download(MODEL_FILE)
    graph = load_graph(model)
    names = data_files(graph)
    for name in names:
        source.download(name)
    file = folder / MODEL_FILE
    if names and embedded_size(model, graph) <= single_file_bytes:
        log.info("%s: the weights of %s go into it", MODEL_FILE, ", ".join(names))
        embed(graph, model.parent, file)
        model, names = file, []
    signature, training_run_id = signature_of(graph), training_run_of(graph)
    del graph
    paths = {MODEL_FILE: model, **{name: model.parent / name for name in names}}
    with ThreadPoolExecutor(1) as pool:
        # The check and the checksums take as long as each other, and neither needs the other's result.
        sums = pool.map(sha256_of, paths.values())
        check_model(model)
        files = {
            name: (path.stat().st_size, sha256)
            for (name, path), sha256 in zip(paths.items(), sums, strict=True)
        }
    if names:
        pack(model, names, file)
    elif model != file:
        model.rename(file)
    shutil.rmtree(source.folder)
    return SourceModel(file, signature, files, training_run_id)


def describe(client: MlflowClient, version: ModelVersion, source: str, model: SourceModel) -> Metadata:
    """The metadata of a downloaded model, without the stamp that Triton's version brings.

    Args:
        client: connected to the registry.
        version: the registered version.
        source: how the deployment asked for it, "alias:deploy" or "version:5"; "" where it took the version
            that its own workflow validated.
        model: what was downloaded.
    """
    run = registry.get_run(client, version.run_id) if version.run_id else None
    name = (run.info.run_name or "") if run else ""
    here, pointed_at = str(version.version), _deploy_alias(client, version.name)
    if pointed_at != here:
        log.info("version %s is deployed; the alias %s points to %s", here, _DEPLOY, pointed_at or "none")
    origin = MlflowOrigin(
        model_name=version.name,
        version=str(version.version),
        run_id=version.run_id or "",
        alias_at_deploy=source
        or (f"version:{version.version}" if pointed_at != here else f"alias:{_DEPLOY}"),
        run_name=name,
        training_run_id=model.training_run_id,
        deploy_alias_version=pointed_at if pointed_at != here else "",
    )
    data = [(name, *known) for name, known in model.files.items() if name != MODEL_FILE]
    facts = ModelFacts(
        format="onnx",
        file_size_mb=round(sum(size for size, _ in model.files.values()) / MIB, 2),
        sha256=model.files[MODEL_FILE][1],
        inputs=tuple(tensor.to_dict() for tensor in model.signature.inputs),
        outputs=tuple(tensor.to_dict() for tensor in model.signature.outputs),
        data_files=tuple({"name": name, "size": size, "sha256": sha256} for name, size, sha256 in data),
    )
    measured = {metric: _measured(version, run, metric) for metric in VALIDATION_METRICS}
    return Metadata(origin, None, facts, ValidationFacts(**measured))


def _deploy_alias(client: MlflowClient, name: str) -> str:
    """The version that the alias `deploy` points to, "" where it is not set."""
    found = registry.version_by_alias(client, name, _DEPLOY)
    return "" if found is None else str(found.version)


def _measured(version: ModelVersion, run: Run | None, metric: str) -> float | None:
    """A number of Gate 2: the export run's metric, else the version's tag of that name."""
    found = run.data.metrics.get(metric) if run else None
    value = found if found is not None else _number(version.tags.get(metric))
    if value is None or not math.isfinite(value):
        log.warning("version %s of %s has no %s: was it validated?", version.version, version.name, metric)
        return None
    return float(value)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


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
            before_sleep=before_next(log),
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
