"""Addresses of servers, as parameters give them: on one line, and without a password where none may be."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit, urlunsplit

from argosy.errors import UsageError
from argosy.step.values import shown

_PRINTED = re.compile(r"[!-~]{1,2000}")
_HOST_PORT = re.compile(r"([A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")
# What MLflow's client can open that is no folder: a folder would be made wherever the text points to.
_MLFLOW = re.compile(
    r"(https?|databricks(-uc)?|(sqlite|postgresql|mysql|mssql)(\+[a-z0-9]+)?)://\S*|databricks"
)


def split_address(value: str) -> SplitResult | None:
    """The parts of an address of printable ASCII characters; None where it is none."""
    if not _PRINTED.fullmatch(value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # read only now: it may be no number
    except ValueError:
        return None
    return parts


def check_http(what: str, value: str, example: str) -> str:
    """`value` without a slash at its end, when it is the address of an HTTP server.

    Raises:
        UsageError: it is not, or it carries a password, which would show in logs and records.
    """
    parts = split_address(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{what} {shown(redacted(value))} is no address such as {example}")
    if parts.query or parts.fragment:
        raise UsageError(
            f"{what} {shown(redacted(value))} has more than a path: use an address such as {example}"
        )
    if "@" in parts.netloc:
        raise UsageError(
            f"{what} {shown(redacted(value))} carries a password, which records would show: leave it out"
        )
    return value.rstrip("/")


def check_host_port(what: str, value: str, example: str) -> str:
    """`value`, when it is HOST:PORT; raises UsageError."""
    if not _HOST_PORT.fullmatch(value):
        raise UsageError(f"{what} {shown(redacted(value))} is no address such as {example}")
    return value


def check_mlflow(what: str, value: str) -> str:
    """`value`, when it is an address of an MLflow server; raises UsageError.

    A password in it is left to MLflow; `redacted` keeps it out of messages.
    """
    parts = split_address(value)
    if parts is None or not _MLFLOW.fullmatch(value) or (parts.scheme[:4] == "http" and not parts.hostname):
        raise UsageError(
            f"{what} {shown(redacted(value))} is no MLflow server's address: use http://HOST:PORT or https://HOST"
        )
    return value


def redacted(address: str) -> str:
    """The address without the user name and password that it may carry, fit for a log."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return re.sub(r"//[^/]*@", "//***@", address)
    if "@" in parts.netloc:
        return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))
    # Without a scheme everything before the first slash may have been meant as user:password@host.
    return address if "://" in address else re.sub(r"^[^/\s]*:[^/\s]*@", "***@", address)
