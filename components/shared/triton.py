"""A Triton server, as the steps use it: load, readiness, repository index, metadata, inference.

Questions go over HTTP, tensors as binary; a load goes over gRPC where an address is given, because an HTTP
load holds one of the server's HTTP threads, and the clients on it, until it is over.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_HEADER_LENGTH = "Inference-Header-Content-Length"


class TritonUnreachable(StepError):
    """Nobody answers at the server's address: worth another try."""


class TritonTimeout(StepError):
    """The server took the call and did not answer in time."""


class TritonRefused(StepError):
    """The server answered with an error; `reason` is its own text."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(f"Triton could not {action}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class VersionState:
    """A version in the repository index: `READY`, `LOADING`, `UNAVAILABLE`, ..., and Triton's reason."""

    state: str
    reason: str


@dataclass(frozen=True)
class Tensor:
    """An input or output of a served model; -1 stands for a dimension that the request chooses."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ServedModel:
    """What the server tells about one version of a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Triton:
    """The server at `url` (http://HOST:PORT); loads go to `grpc_address` (HOST:PORT) unless it is empty."""

    url: str
    grpc_address: str = ""
    session: requests.Session = field(default_factory=requests.Session, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"triton_url {self.url!r} is no address such as http://HOST:8000")
        if self.grpc_address and not re.fullmatch(r"[A-Za-z0-9.-]+:[0-9]{1,5}", self.grpc_address):
            raise UsageError(f"triton_grpc_url {self.grpc_address!r} is no address such as HOST:8001")
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def version_ready(self, model: str, version: int) -> bool:
        """Whether this version answers inference requests now."""
        return self._send("GET", f"{_version_path(model, version)}/ready").status_code == 200

    def index(self, model: str) -> dict[int, VersionState]:
        """The versions of `model` that the server ever loaded, or tried to, since it started."""
        answer = self._call("POST", "/v2/repository/index", "list its models", json={})
        return {
            int(entry["version"]): VersionState(entry.get("state", ""), entry.get("reason", ""))
            for entry in answer.json()
            if entry["name"] == model and entry.get("version")
        }

    def config(self, model: str, version: int) -> dict[str, Any]:
        """The configuration that a loaded version runs with, completed by the server."""
        answer = self._call("GET", f"{_version_path(model, version)}/config", f"tell the config of {model!r}")
        return dict(answer.json())

    def describe(self, model: str, version: int) -> ServedModel:
        """Inputs, outputs and the served versions of a loaded version."""
        answer = self._call(
            "GET", _version_path(model, version), f"describe version {version} of {model!r}"
        ).json()
        inputs, outputs = (
            tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in answer[kind])
            for kind in ("inputs", "outputs")
        )
        return ServedModel(inputs, outputs, tuple(answer.get("versions", ())))

    def load(self, model: str, seconds: float, config: Mapping[str, Any] | None = None) -> None:
        """Load, or refresh, a model from the server's repository, with `config` in place of its config.pbtxt.

        Raises:
            TritonRefused: it did not load; what was served before goes on being served.
            TritonUnreachable: nobody answers.
            TritonTimeout: no answer after `seconds`; the server may still be loading.
        """
        text = json.dumps(config) if config else None
        if self.grpc_address:
            self._load_by_grpc(model, seconds, text)
        else:
            body = {"parameters": {"config": text}} if text else {}
            path = f"/v2/repository/models/{model}/load"
            self._call("POST", path, f"load {model!r}", json=body, timeout=(_CONNECT_SECONDS, seconds))

    def infer(self, model: str, version: int, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference on exactly this version, tensors in binary form both ways; outputs by name."""
        header = {
            "inputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": np_to_triton_dtype(array.dtype),
                    "parameters": {"binary_data_size": array.nbytes},
                }
                for name, array in inputs.items()
            ],
            "parameters": {"binary_data_output": True},
        }
        head = json.dumps(header).encode()
        body = head + b"".join(np.ascontiguousarray(array).tobytes() for array in inputs.values())
        path, action = f"{_version_path(model, version)}/infer", f"run version {version} of {model!r}"
        return _tensors(self._call("POST", path, action, data=body, headers={_HEADER_LENGTH: str(len(head))}))

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", (_CONNECT_SECONDS, _ANSWER_SECONDS))
        try:
            return self.session.request(method, self.url + path, **options)
        except requests.ConnectionError as error:
            # ConnectTimeout is a ConnectionError too: nobody took the call.
            raise TritonUnreachable(f"Triton at {self.url} does not answer: {_last_cause(error)}") from error
        except requests.Timeout as error:
            wait = options["timeout"][1]
            raise TritonTimeout(f"Triton at {self.url}: no answer to {path} within {wait:.0f} s") from error

    def _call(self, method: str, path: str, action: str, **options: Any) -> requests.Response:
        answer = self._send(method, path, **options)
        if answer.status_code != 200:
            raise TritonRefused(action, _reason(answer))
        return answer

    def _load_by_grpc(self, model: str, seconds: float, config: str | None) -> None:
        from tritonclient import grpc
        from tritonclient.utils import InferenceServerException

        with grpc.InferenceServerClient(self.grpc_address) as client:
            try:
                client.load_model(model, config=config, client_timeout=seconds)
            except InferenceServerException as error:
                raise _grpc_error(self.grpc_address, model, error, seconds) from error


def _version_path(model: str, version: int) -> str:
    return f"/v2/models/{model}/versions/{version}"


def _reason(answer: requests.Response) -> str:
    try:
        text = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = answer.text
    return _one_line(text) or f"HTTP status {answer.status_code}"


def _grpc_error(address: str, model: str, error: Any, seconds: float) -> StepError:
    status = str(error.status())
    if status.endswith("DEADLINE_EXCEEDED"):
        return TritonTimeout(f"Triton at {address}: loading {model!r} did not end within {seconds:.0f} s")
    if status.endswith("UNAVAILABLE"):
        return TritonUnreachable(f"Triton at {address} does not answer: {_one_line(error.message())}")
    return TritonRefused(f"load {model!r}", _one_line(error.message()))


def _tensors(answer: requests.Response) -> dict[str, np.ndarray]:
    length = int(answer.headers[_HEADER_LENGTH])
    outputs: dict[str, np.ndarray] = {}
    at = length
    for entry in json.loads(answer.content[:length])["outputs"]:
        size, dtype = entry["parameters"]["binary_data_size"], triton_to_np_dtype(entry["datatype"])
        if dtype is None or dtype is np.object_:
            raise StepError(f"output {entry['name']!r} is {entry['datatype']}: only numbers can be checked")
        outputs[entry["name"]] = np.frombuffer(answer.content[at : at + size], dtype).reshape(entry["shape"])
        at += size
    return outputs


def _last_cause(error: BaseException) -> str:
    # requests wraps urllib3, which wraps the socket's error: the innermost one is the one to read.
    while error.__context__ is not None:
        error = error.__context__
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(" ;")
