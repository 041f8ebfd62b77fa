"""The servers that a Triton service stands for: a load reaches one pod, so each pod is spoken to by itself.

| the address | the servers |
| --- | --- |
| http://HOST:8000 | that one; each address of its own where the name has several, as a headless service's |
| http://A:8000,http://B:8000 | each of the list, by the same rule |
| https://HOST | that one: a certificate is for the name, and not for the addresses behind it |
"""

from __future__ import annotations

import logging
import socket
from urllib.parse import SplitResult, urlsplit, urlunsplit

from argosy.components.shared.addresses import check_host_port, check_http
from argosy.components.shared.triton import Triton
from argosy.errors import UsageError
from argosy.step.values import shown

log = logging.getLogger(__name__)

_PORTS = {"http": 80, "https": 443}
_MOST = 200


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
