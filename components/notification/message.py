"""The message about a workflow that ended, for programs and for people, and its way to a webhook.

Its numbers are those of the workflow's model in MLflow: the gates', and the version that is live because of
it. The webhook may fail in any way without anybody's harm.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import responses
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import requests
from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from argosy.components.deployment.aliases.history import read_history
from argosy.components.shared import registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_SIGNS = {"Succeeded": ":white_check_mark:", "Failed": ":x:", "Error": ":x:"}
_WORKFLOW_UID = "workflow_uid"  # tag of a training's run
_TRAINED_BY = "pytorch.run_id"  # tag of an ONNX model's version
ONNX = "-onnx"
_GATE_1 = ("gate1.result", "gate1.reason")
_GATE_2 = ("validation_max_diff", "validation_mean_diff", "validation_onnx_speedup")
_RECENT = 20  # versions among which this workflow's is looked for
_TRY = 5.0  # seconds for one try to connect, and then for an answer
_LATER = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Message:
    """How a workflow ended; what is not known is empty.

    Attributes:
        workflow: its name.
        status: its phase.
        model: the served model's name.
        link: where the run can be seen.
        gates: gate -> what it measured and decided, by the names that MLflow has.
        versions: `live_before`, `live`, `previous` and `triton_version`.
        notes: what could not be found out, and why.
    """

    workflow: str
    status: str
    model: str = ""
    link: str = ""
    gates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def body(self, form: str) -> dict[str, Any]:
        """The body of the request.

        Args:
            form: "json" or "slack".
        """
        if form == "slack":
            return {"text": self.text()}
        known = {name: value for name, value in vars(self).items() if value}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}

    def text(self) -> str:
        """The message in Slack's markup."""
        lines = [
            f"{_SIGNS.get(self.status, ':grey_question:')} *{_plain(self.workflow)}* {_plain(self.status)}"
        ]
        for gate, found in self.gates.items():
            lines.append(f"{gate}: " + ", ".join(f"{name} {_number(value)}" for name, value in found.items()))
        if self.versions:
            told = ", ".join(
                f"{name.replace('_', ' ')} {value or 'none'}" for name, value in self.versions.items()
            )
            lines.append(f"{_plain(self.model)}: {_plain(told)}")
        lines += [f"_{_plain(note)}_" for note in self.notes]
        lines += [_plain(self.link)] if self.link else []
        return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _plain(str(value))


def _plain(text: str) -> str:
    """Text that Slack shows as it is (its documentation, "Escaping text"), on one line."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.split())


def ask(message: Message, tracking_uri: str, model: str, owner: str, patience: float) -> Message:
    """The message with what MLflow knows; what it does not tell within `patience` seconds is a note.

    Args:
        message: so far without numbers.
        tracking_uri: the MLflow server.
        model: the served model.
        owner: the workflow's uid.
        patience: seconds.
    """
    found: list[Message] = []
    failures: list[str] = []

    def look() -> None:
        try:
            found.append(_told(message, tracking_uri, model, owner))
        except Exception as error:  # whatever it is, the message is sent
            failures.append((str(error).splitlines() or [type(error).__name__])[0])

    within(patience, look)
    if found:
        return found[0]
    note = f"MLflow could not be asked: {[*failures, f'it did not answer within {patience:g} s'][0]}"
    log.warning("%s", note)
    return replace(message, notes=(*message.notes, note))


@dataclass(frozen=True)
class _Work:
    """The doings of one workflow."""

    candidate: ModelVersion | None
    served: ModelVersion | None


def _told(message: Message, tracking_uri: str, model: str, owner: str) -> Message:
    client = registry.connect_lightly(tracking_uri)
    work = _work(client, model, owner)
    gates = {"gate 1": _gate_1(client, work.candidate), "gate 2": _gate_2(client, work.served)}
    known = {gate: found for gate, found in gates.items() if found}
    return replace(message, gates=known, versions=_versions(client, model, owner, work.served))


def _work(client: MlflowClient, model: str, owner: str) -> _Work:
    candidate = next(
        (
            version
            for version in reversed(registry.all_versions(client, model.removesuffix(ONNX))[-_RECENT:])
            if version.run_id
            and registry.get_run(client, version.run_id).data.tags.get(_WORKFLOW_UID) == owner
        ),
        None,
    )
    trained_by = candidate.run_id if candidate is not None else None
    served = [
        version
        for version in registry.all_versions(client, model)
        if any(move.workflow == owner for move in read_history(version))
        or (trained_by and version.tags.get(_TRAINED_BY) == trained_by)
    ]
    return _Work(candidate, served[-1] if served else None)


def _gate_1(client: MlflowClient, candidate: ModelVersion | None) -> dict[str, Any]:
    if candidate is None or candidate.run_id is None:
        return {}
    found: dict[str, Any] = {
        name.removeprefix("gate1."): candidate.tags[name] for name in _GATE_1 if name in candidate.tags
    }
    metrics = registry.get_run(client, candidate.run_id).data.metrics
    return found | _chosen(metrics, ("best_val_accuracy",))


def _gate_2(client: MlflowClient, served: ModelVersion | None) -> dict[str, Any]:
    if served is None or not served.run_id:
        return {}
    found = {"result": served.tags["gate2.result"]} if "gate2.result" in served.tags else {}
    return found | _chosen(registry.get_run(client, served.run_id).data.metrics, _GATE_2)


def _chosen(metrics: Mapping[str, float], names: tuple[str, ...]) -> dict[str, Any]:
    return {name.removeprefix("validation_"): metrics[name] for name in names if name in metrics}


def _versions(client: MlflowClient, model: str, owner: str, served: ModelVersion | None) -> dict[str, str]:
    """The aliases before this workflow and now; nothing where it moved none."""
    moves = [] if served is None else [move for move in read_history(served) if move.workflow == owner]
    if not moves:
        return {}
    found = registry.find_model(client, model)
    aliases = {} if found is None else found.aliases
    return {
        "live_before": moves[-1].took_over_from,
        "live": str(aliases.get("live", "")),
        "previous": str(aliases.get("previous", "")),
        "triton_version": str(moves[-1].triton_version),
    }


class _Refused(Exception):
    """The webhook answered with an error that another try would not change."""


class _Busy(Exception):
    """The webhook may take the message later."""


def deliver(url: str, body: Mapping[str, Any], patience: float) -> Literal["sent", "not-sent", "no-webhook"]:
    """Post `body` as JSON; try again what may pass, and give up after `patience` seconds with a warning.

    Args:
        url: the webhook, a secret: no message or log shows it.
        body: what is sent.
        patience: seconds for all tries.
    """
    url = url.strip()  # `echo` into the Secret ends it with a line break
    if not url:
        log.warning("no webhook: ARGOSY_WEBHOOK_URL is empty; put the address into its Secret")
        return "no-webhook"
    failures: list[str] = []
    if not within(patience, lambda: _send(url, body, patience, failures)):
        failures = [f"it did not answer within {patience:g} s"]
    if failures:
        log.warning("the webhook at %s did not take the message: %s", _host(url), failures[0])
        return "not-sent"
    log.info("told %s", _host(url))
    return "sent"


def within(seconds: float, action: Callable[[], None]) -> bool:
    """Carry out `action`, and tell whether it ended in time; it goes on where it did not.

    In a thread that nobody waits for at the end of the process: a server that sends a byte now and then
    outlasts any time limit of a request's.
    """
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _send(url: str, body: Mapping[str, Any], patience: float, failures: list[str]) -> None:
    tries = Retrying(
        retry=retry_if_exception_type((_Busy, requests.ConnectionError, requests.Timeout)),
        stop=stop_before_delay(patience * 0.9),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    try:
        tries(_post, url, body)
    except (_Busy, _Refused) as error:
        failures.append(str(error))
    except Exception as error:  # its own text may hold the address
        failures.append(type(error).__name__)


def _post(url: str, body: Mapping[str, Any]) -> None:
    # Slack answers redirected requests as if nothing had been sent.
    with (
        _hushed(),
        requests.post(url, json=body, timeout=_TRY, allow_redirects=False, stream=True) as answer,
    ):
        if answer.status_code in _LATER:
            raise _Busy(f"it answered {_status(answer.status_code)}")
        if answer.status_code >= 300:
            raise _Refused(f"it answered {_status(answer.status_code)}")


def _status(code: int) -> str:
    """The status in the words of the standard: the server's own may repeat the address."""
    return f"{code} {responses.get(code, '')}".rstrip()


@contextmanager
def _hushed() -> Iterator[None]:
    """While inside, urllib3 says nothing: its warnings of broken headers name the address."""
    logger = logging.getLogger("urllib3")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that cannot be read"
