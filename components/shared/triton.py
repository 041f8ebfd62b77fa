"""A Triton server, as the steps use it: loads, readiness, index, metadata, inference; and its replicas.

Questions go over HTTP, tensors as binary; loads go over gRPC where an address is given. An HTTP load holds
one of the server's few HTTP threads, and the clients whose connections live on it, until it is over; a gRPC
load disturbs nobody.

A load that is sent to a service reaches one pod, so each pod is spoken to by itself:

| the address | the servers |
| --- | --- |
| http://HOST:8000 | that one; each address of its own where the name has several, as a headless service's |
| http://A:8000,http://B:8000 | each of the list, by the same rule |
| https://HOST | that one: a certificate is for the name, and not for the addresses behind it |
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit, urlunsplit

import numpy as np
import requests
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from argosy.components.shared.addresses import check_host_port, check_http
from argosy.components.shared.triton_deadline import (
    TritonError,
    TritonRefused,
    TritonTimeout,
    TritonUnreachable,
    one_line,
)
from argosy.errors import StepError, UsageError
from argosy.step.values import shown

log = logging.getLogger(__name__)

_HEADER_LENGTH = "Inference-Header-Content-Length"
__all__ = [
    "ServedModel",
    "Tensor",
    "Triton",
    "TritonError",
    "TritonRefused",
    "TritonTimeout",
    "TritonUnreachable",
    "VersionState",
]
_CONNECT_SECONDS = 5.0
# How Triton begins its answer of a model that it never loaded, or that has no version any more.
_UNKNOWN_MODEL = "Request for unknown model"
# How it ends in the first case.
_NEVER_LOADED = "is not found"
Verb = Literal["load", "unload"]
T = TypeVar("T")
_HELLO_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}
_MOST = 200


@dataclass(frozen=True)
class Tensor:
    """An input or output of a served model; -1 stands for a dimension that the request chooses."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def encode(inputs: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request that sends these tensors, and wants binary ones back."""
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
    return body, {_HEADER_LENGTH: str(len(head))}


def decode(body: bytes, head_length: int) -> dict[str, np.ndarray]:
    """The tensors of an answer, by name.

    Raises:
        StepError: one of them is text.
    """
    outputs: dict[str, np.ndarray] = {}
    at = head_length
    for entry in json.loads(body[:head_length])["outputs"]:
        size, dtype = entry["parameters"]["binary_data_size"], triton_to_np_dtype(entry["datatype"])
        if dtype is None or dtype is np.object_:
            raise StepError(f"output {entry['name']!r} is {entry['datatype']}: only numbers can be checked")
        outputs[entry["name"]] = np.frombuffer(body[at : at + size], dtype).reshape(entry["shape"])
        at += size
    return outputs


@dataclass(frozen=True)
class VersionState:
    """A version in the repository index: `READY`, `LOADING`, `UNAVAILABLE`, ..., and Triton's reason."""

    state: str
    reason: str


@dataclass(frozen=True)
class ServedModel:
    """The server's account of one version of a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Triton:
    """The server at `url` (http://HOST:PORT); loads go to `grpc_address` (HOST:PORT) unless it is empty.

    `answer_seconds` bounds every call that is no load.
    """

    url: str
    grpc_address: str = ""
    answer_seconds: float = 30.0
    session: requests.Session = field(default_factory=requests.Session, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", check_http("triton_url", self.url, "http://HOST:8000"))
        if self.grpc_address:
            check_host_port("triton_grpc_url", self.grpc_address, "HOST:8001")

    def within(self, seconds: float) -> Triton:
        """The same server, whose answers may take at most `seconds`."""
        return replace(self, answer_seconds=min(self.answer_seconds, seconds))

    def version_ready(self, model: str, version: int) -> bool:
        """Whether this version answers inference requests now."""
        return self._send("GET", f"{_version_path(model, version)}/ready").status_code == 200

    def ready_versions(self, model: str) -> frozenset[int]:
        """The versions of `model` that answer inference requests now; none of a model it does not know.

        Raises:
            TritonRefused: the server, or whoever answers in its place, does not tell.
        """
        answer = self._send("GET", f"/v2/models/{model}")
        if _is_unknown(answer):
            return frozenset()
        action = f"tell the versions of {model!r}"
        if answer.status_code != 200:
            raise TritonRefused(action, _reason(answer))
        return _read(answer, action, lambda told: frozenset(map(int, told.get("versions", ()))))

    def knows(self, model: str) -> bool:
        """Whether the server has a version of `model`, or had one, or is just loading one.

        Raises:
            TritonRefused: the server, or whoever answers in its place, does not tell.
        """
        answer = self._send("GET", f"/v2/models/{model}")
        if not _is_unknown(answer) and answer.status_code != 200:
            raise TritonRefused(f"tell of {model!r}", _reason(answer))
        return answer.status_code == 200 or not _reason(answer).endswith(_NEVER_LOADED)

    def index(self, model: str) -> dict[int, VersionState]:
        """The versions of `model` that the server ever loaded, or tried to, since it started.

        The server goes through the whole repository for this, a request to S3 for each model in it: ask for
        it where the reason counts, not again and again.
        """
        action = "list its models"
        answer = self._call("POST", "/v2/repository/index", action, json={})
        return _read(
            answer,
            action,
            lambda told: {
                int(entry["version"]): VersionState(entry.get("state", ""), entry.get("reason", ""))
                for entry in told
                if entry["name"] == model and entry.get("version")
            },
        )

    def config(self, model: str, version: int) -> dict[str, Any]:
        """The configuration that a loaded version runs with, completed by the server."""
        action = f"tell the config of {model!r}"
        return _read(self._call("GET", f"{_version_path(model, version)}/config", action), action, dict)

    def describe(self, model: str, version: int) -> ServedModel:
        """Inputs, outputs and the served versions of a loaded version."""
        action = f"describe version {version} of {model!r}"
        return _read(self._call("GET", _version_path(model, version), action), action, _served)

    def load(self, model: str, seconds: float, config: Mapping[str, Any] | None = None) -> None:
        """Load, or refresh, a model from the server's repository, with `config` in place of its config.pbtxt.

        Raises:
            TritonRefused: it did not load; what was served before goes on being served.
            TritonUnreachable: nobody answers.
            TritonTimeout: no answer after `seconds`; the server may still be loading.
        """
        self._control("load", model, seconds, json.dumps(config) if config else None)

    def unload(self, model: str, seconds: float) -> None:
        """Ask the server to unload all versions of a model; it finishes their requests first.

        Raises:
            TritonRefused, TritonUnreachable, TritonTimeout: as for `load`.
        """
        self._control("unload", model, seconds)

    def infer(self, model: str, version: int, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference on exactly this version, tensors in binary form both ways; outputs by name."""
        body, headers = encode(inputs)
        path, action = f"{_version_path(model, version)}/infer", f"run version {version} of {model!r}"
        answer = self._call("POST", path, action, data=body, headers=headers)
        if _HEADER_LENGTH not in answer.headers:
            raise TritonRefused(action, _no_triton(answer))
        return decode(answer.content, int(answer.headers[_HEADER_LENGTH]))

    def _control(self, verb: Verb, model: str, seconds: float, config: str | None = None) -> None:
        if self.grpc_address and control(self.grpc_address, verb, model, seconds, config):
            return
        body = {"parameters": {"config": config}} if config else {}
        path = f"/v2/repository/models/{model}/{verb}"
        self._call("POST", path, f"{verb} {model!r}", json=body, timeout=(_CONNECT_SECONDS, seconds))

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", (min(_CONNECT_SECONDS, self.answer_seconds), self.answer_seconds))
        try:
            return self.session.request(method, self.url + path, **options)
        except requests.ConnectionError as error:
            # ConnectTimeout is a ConnectionError too: nobody took the call.
            raise TritonUnreachable(f"Triton at {self.url} does not answer: {_last_cause(error)}") from error
        except requests.Timeout as error:
            wait = options["timeout"][1]
            raise TritonTimeout(f"Triton at {self.url}: no answer to {path} within {wait:.0f} s") from error
        except requests.RequestException as error:
            raise TritonUnreachable(f"Triton at {self.url} broke off: {_last_cause(error)}") from error

    def _call(self, method: str, path: str, action: str, **options: Any) -> requests.Response:
        answer = self._send(method, path, **options)
        if answer.status_code != 200:
            raise TritonRefused(action, _reason(answer))
        return answer


def _read(answer: requests.Response, action: str, of: Callable[[Any], T]) -> T:
    """The JSON of an answer, as `of` makes it. Raises TritonRefused where it is not what Triton tells."""
    try:
        return of(answer.json())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TritonRefused(action, _no_triton(answer)) from error


def _no_triton(answer: requests.Response) -> str:
    told = shown(one_line(answer.text[:200]))
    return f"{answer.url}: {told} is no answer of Triton's; is another server there?"


def _served(told: Any) -> ServedModel:
    inputs, outputs = (
        tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in told[kind])
        for kind in ("inputs", "outputs")
    )
    return ServedModel(inputs, outputs, tuple(told.get("versions", ())))


def _is_unknown(answer: requests.Response) -> bool:
    return answer.status_code in (400, 404) and _reason(answer).startswith(_UNKNOWN_MODEL)


def _version_path(model: str, version: int) -> str:
    return f"/v2/models/{model}/versions/{version}"


def _reason(answer: requests.Response) -> str:
    """Triton's own words about an error; those of another server that answers in its place, as its own."""
    try:
        return one_line(str(answer.json()["error"])) or f"HTTP status {answer.status_code}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {answer.status_code}, {_no_triton(answer)}"


def _last_cause(error: BaseException) -> str:
    # requests wraps urllib3, which wraps the socket's error: the innermost one is the one to read.
    while error.__context__ is not None:
        error = error.__context__
    return one_line(str(error)) or type(error).__name__


def control(address: str, verb: Verb, model: str, seconds: float, config: str | None = None) -> bool:
    """Load or unload a model, within `seconds`; False, with a warning, where no gRPC service answers there.

    Raises:
        TritonRefused: the server's own answer is an error.
        TritonTimeout: no answer in time; the server may still be at it.
        TritonUnreachable: the connection broke during the call.
    """
    from tritonclient import grpc
    from tritonclient.utils import InferenceServerException

    with grpc.InferenceServerClient(address) as client:
        try:
            # Asked first: once a load has begun, a broken connection must not make it begin over HTTP too.
            client.is_server_live(client_timeout=min(_HELLO_SECONDS, seconds))
        except InferenceServerException as error:
            log.warning(
                "Triton's gRPC service at %s does not answer (%s): %s over HTTP, which may delay clients",
                *(address, one_line(error.message()), verb),
            )
            return False
        try:
            if verb == "load":
                client.load_model(model, config=config, client_timeout=seconds)
            else:
                client.unload_model(model, client_timeout=seconds)
        except InferenceServerException as error:
            raise _error(address, f"{verb} {model!r}", error, seconds) from error
    return True


def _error(address: str, action: str, error: Any, seconds: float) -> StepError:
    status = str(error.status())
    if status.endswith("DEADLINE_EXCEEDED"):
        return TritonTimeout(f"Triton at {address} did not {action} within {seconds:.0f} s")
    if status.endswith("UNAVAILABLE"):
        return TritonUnreachable(f"Triton at {address} does not answer: {one_line(error.message())}")
    return TritonRefused(action, one_line(error.message()))


def connect_all(url: str, grpc_url: str = "") -> tuple[Triton, ...]:
    """Each server that the parameters `triton_url` and `triton_grpc_url` stand for, each once, at least one.

    Args:
        url: one address or several, with commas between them.
        grpc_url: as many HOST:PORT, in the same order, or none; a name that has several addresses has to be
            that of the HTTP address.

    Raises:
        UsageError: an address is none, the lists do not fit together, or there are too many.
    """
    urls = [check_http("triton_url", part, "http://HOST:8000") for part in _listed(url)]
    grpcs = [
        check_host_port("triton_grpc_url", part.removeprefix("grpc://"), "HOST:8001")
        for part in (_listed(grpc_url) if grpc_url else [])
    ] or [""] * len(urls)
    if len(urls) != len(grpcs):
        raise UsageError(
            f"triton_url names {len(urls)} servers and triton_grpc_url {len(grpcs)}: name as many, in the "
            "same order, or leave triton_grpc_url empty"
        )
    found = dict.fromkeys(pair for one, grpc in zip(urls, grpcs, strict=True) for pair in _pairs(one, grpc))
    if len(found) > _MOST:
        raise UsageError(f"triton_url stands for {len(found)} servers, more than {_MOST}: name fewer")
    if len(found) > 1:
        log.info("%d replicas: %s", len(found), ", ".join(one for one, _ in found))
    return tuple(Triton(one, grpc) for one, grpc in found)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _pairs(url: str, grpc: str) -> list[tuple[str, str]]:
    """HTTP and gRPC address of each server behind one address; as they were given where it is one."""
    parts = urlsplit(url)
    addresses = _addresses(parts)
    if len(addresses) < 2:
        return [(url, grpc)]
    host, _, port = grpc.rpartition(":")
    if grpc and host != parts.hostname:
        raise UsageError(
            f"triton_url {shown(url)} stands for {len(addresses)} servers, and triton_grpc_url {shown(grpc)} "
            f"for others: give {parts.hostname}:PORT, or leave it empty"
        )
    return [(_at(parts, address), f"{address}:{port}" if grpc else "") for address in addresses]


def _addresses(parts: SplitResult) -> list[str]:
    """The addresses of a name, in a fixed order; a name that has none is left to the first call to tell.

    A pod of a network with both families has one address in each: those of the first family count.
    """
    if parts.scheme == "https" or not parts.hostname:
        return []
    port = parts.port or _PORTS[parts.scheme]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            found = socket.getaddrinfo(parts.hostname, port, family, socket.SOCK_STREAM)
        except OSError:
            continue
        numbers = sorted({str(address[0]) for *_, address in found})
        return [f"[{number}]" if family == socket.AF_INET6 else number for number in numbers]
    return []


def _at(parts: SplitResult, address: str) -> str:
    netloc = address if parts.port is None else f"{address}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))
