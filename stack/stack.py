"""The embedded stack: MLflow, S3 and Triton on loopback, with all their state in one folder.

The servers are three, described from the stack's folder, ports and key pair. Bringing a stack up, what runs
and is well stays, and the rest is started, side by side where nothing waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argosy.errors import StackError
from argosy.local.stacks import ServiceStatus, StackStatus
from argosy.stack import dataset, process, serving, storage, tracking
from argosy.stack.process import HOST, ProcessId
from argosy.stack.service import Cancelled, Endpoints, Service, Unwell
from argosy.stack.serving import TritonInstall, locate_triton, prepare_triton
from argosy.stack.state import Credentials, Launched, Report, State, StateFolder, default_state_dir

_logger = logging.getLogger(__name__)

# How long a server that runs may take to answer before it counts as hung (seconds): the machine may be busy.
_GRACE = 15.0
# How long a server that is not well may take to end on its own (seconds).
_LAST_CHANCE = 5.0
_POLL = 0.1
_PORTS = {tracking.NAME: tracking.PORTS, storage.NAME: storage.PORTS, serving.NAME: serving.PORTS}


def _silent(line: str) -> None:
    """Report nothing."""


class Stack:
    """The servers that belong to one state folder. Stacks of different folders run side by side."""

    def __init__(self, state_dir: Path | None = None) -> None:
        """Name the stack by its folder, which need not exist; nothing is started or read."""
        self._folder = StateFolder(state_dir if state_dir is not None else default_state_dir())

    @property
    def state_dir(self) -> Path:
        """The folder of ports, processes, credentials, logs and data."""
        return self._folder.path

    def prepare(self, report: Report = _silent) -> str:
        """Install Triton's environment and start nothing; the line that says where it is."""
        return f"Triton is installed in {prepare_triton(report, self.state_dir).root}"

    def up(self, report: Report = _silent) -> Endpoints:
        """Start what does not run, mend what is not well, and return once everything answers.

        The first time this also installs Triton's environment and stores the digits data set. `report` gets
        one line of progress at a time, also from other threads, never two at once.

        Raises:
            StackError: a server did not start; what was started here is stopped again.
        """
        with self._folder.locked(report):
            return Startup(self._folder, report).run()

    def down(self, report: Report = _silent) -> None:
        """Stop all servers, with their children; data stay. Does nothing on a stack that is not up."""
        if not self.state_dir.exists():
            return
        with self._folder.locked(report):
            state, credentials = self._folder.load(), self._folder.credentials()
            if credentials is None or not state.services:
                return
            services = catalogue(self._folder, state.ports, credentials).services
            with ThreadPoolExecutor(max_workers=4) as pool:
                for line in pool.map(lambda one: _stop(one, state.services.get(one.name)), services):
                    report(line)
            self._folder.save(State(ports=state.ports))

    def status(self) -> StackStatus:
        """Ask every server how it is; changes nothing."""
        state, credentials = self._folder.load(), self._folder.credentials()
        if credentials is None or not state.ports:
            return StackStatus((), None)
        parts = catalogue(self._folder, state.ports, credentials)
        with ThreadPoolExecutor(max_workers=4) as pool:
            services = pool.map(lambda one: _inspect(one, state.services.get(one.name)), parts.services)
            return StackStatus(tuple(services), parts.endpoints)

    def endpoints(self) -> Endpoints:
        """Return where the servers listen, without asking them; raises StackError if the stack is not up."""
        state, credentials = self._folder.load(), self._folder.credentials()
        if credentials is None or not state.services:
            raise StackError(f"the stack of {self.state_dir} is not up; run `argosy up`")
        return endpoints(state.ports, credentials)

    def environment(self) -> dict[str, str]:
        """Return what a step needs in its environment; raises StackError if the stack is not up."""
        bucket = self.endpoints().s3
        return {
            "AWS_ENDPOINT_URL_S3": bucket.endpoint,
            "AWS_ACCESS_KEY_ID": bucket.access_key,
            "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
            "AWS_DEFAULT_REGION": storage.REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_WAIT_POLICY": "PASSIVE",
            **_shields(),
        }

    def parameters(self) -> dict[str, str]:
        """Return the workflow parameters, by name, that point a pipeline at this stack."""
        where = self.endpoints()
        return {
            "mlflow-tracking-uri": where.mlflow,
            "s3-bucket": where.s3.bucket,
            "triton-url": where.triton.http,
            "triton-grpc-url": where.triton.grpc,
            "dataset": f"s3://{where.s3.bucket}/{dataset.PREFIX}",
            "checkpoint": f"s3://{where.s3.bucket}/checkpoints",
        }


def _shields() -> dict[str, str]:
    """Return what keeps settings of our own environment, where there are any, from misleading a step."""
    shields = {}
    if "AWS_SESSION_TOKEN" in os.environ:  # belongs to other credentials, with which it would be sent
        shields["AWS_SESSION_TOKEN"] = ""
    for name in ("NO_PROXY", "no_proxy"):
        proxy = "HTTP_PROXY" if name.isupper() else "http_proxy"
        if proxy in os.environ:
            shields[name] = ",".join(filter(None, [os.environ.get(name), HOST, "localhost"]))
    return shields


def _stop(service: Service, launched: Launched | None) -> str:
    """Stop one server, and tell what happened."""
    stopped = launched is not None and process.stop(launched.process, service.stop_within)
    service.sweep()
    return f"{service.name} {'stopped' if stopped else 'was not running'}"


def _inspect(service: Service, launched: Launched | None) -> ServiceStatus:
    if launched is None:
        return ServiceStatus(service.name, "stopped", service.address)
    pid = launched.process.pid
    if launched.process.find() is None:
        problem = service.obituary(f"(process {pid}) is no longer running")
        return ServiceStatus(service.name, "dead", service.address, None, problem)
    try:
        service.check()
    except Unwell as error:
        problem = service.obituary(f"(process {pid}) does not answer ({error})")
        return ServiceStatus(service.name, "unhealthy", service.address, pid, problem)
    return ServiceStatus(service.name, "healthy", service.address, pid)


class Startup:
    """One `up`. The caller holds the lock of the state folder."""

    def __init__(self, folder: StateFolder, report: Report) -> None:
        """Prepare to bring up the stack of `folder`; `report` gets one line at a time, from any thread."""
        self._folder = folder
        self._tell = report
        self._state = folder.load()
        self._started: dict[str, tuple[ProcessId, Service]] = {}
        self._lock = threading.Lock()
        self._cancel = threading.Event()

    def run(self) -> Endpoints:
        """Bring everything up; on any failure, and on Ctrl-C, stop what was started here."""
        parts = self._catalogue()
        with ThreadPoolExecutor(max_workers=5, thread_name_prefix="argosy-up") as pool:
            try:
                self._start(parts, pool)
            except BaseException:
                self._undo()  # before the pool waits for its threads, which may wait for a server
                raise
        return parts.endpoints

    def _report(self, line: str) -> None:
        with self._lock:
            self._tell(line)

    def _catalogue(self) -> Catalogue:
        """Choose the ports of what has to be started, and describe all servers."""
        alive = {name for name, launched in self._state.services.items() if launched.process.find()}
        kept = {port: self._state.ports[port] for name in alive for port in _PORTS[name]}
        needed = [port for name, wanted in _PORTS.items() if name not in alive for port in wanted]
        killed = [port for name in self._state.services.keys() - alive for port in _PORTS[name]]
        process.let_go([self._state.ports[port] for port in killed])
        chosen = process.choose_ports(needed, self._state.ports, kept.values(), storage.PAIRED_PORTS)
        self._remember(replace(self._state, ports={**kept, **chosen}))
        return catalogue(self._folder, self._state.ports, self._folder.ensure_credentials())

    def _start(self, parts: Catalogue, pool: Executor) -> None:
        """Start in parallel; Triton waits for its environment and for S3, the data set for S3 alone."""
        install = pool.submit(prepare_triton, self._report, self._folder.path, self._cancel)
        stored = pool.submit(self._start_storage, parts)
        tracked = pool.submit(self._ensure, parts.tracking)
        served = pool.submit(_after, (install, stored), self._start_serving, parts)
        seeded = pool.submit(_after, (stored,), self._seed, parts)
        tasks: list[Future[Any]] = [install, stored, tracked, served, seeded]
        for task in wait(tasks, return_when=FIRST_EXCEPTION).done:
            task.result()
        if not self._state.stored:
            self._remember(replace(self._state, stored=True))

    def _start_storage(self, parts: Catalogue) -> None:
        self._ensure(parts.storage)
        if not self._state.stored:
            storage.prepare(parts.endpoints.s3)

    def _start_serving(self, parts: Catalogue) -> None:
        serving.lay_out_backends(self._folder.backends, parts.install)
        if self._ensure(parts.serving):
            models = serving.complete_models(parts.endpoints.s3)
            serving.load_models(parts.endpoints.triton.http, models, self._report, self._cancel.is_set)

    def _seed(self, parts: Catalogue) -> None:
        if not self._state.stored:
            dataset.seed(parts.endpoints.s3, self._report, self._cancel.is_set)

    def _ensure(self, service: Service) -> bool:
        """Make one server run and answer; tell whether it had to be started."""
        before = self._state.services.get(service.name)
        if before is not None:
            trouble = self._trouble(service, before)
            if trouble is None:
                return False
            self._report(f"{service.name} {trouble}: starting it again")
            process.stop(before.process, min(service.stop_within, _LAST_CHANCE))
        self._launch(service)
        return True

    def _trouble(self, service: Service, launched: Launched) -> str | None:
        """Tell what is wrong with a server that was started before, if anything is."""
        if launched.process.find() is None:
            return "is no longer running"
        if launched.command != service.digest():
            return "runs with other settings"
        deadline = time.monotonic() + _GRACE
        while not self._cancel.is_set():
            try:
                service.check()
                return None
            except Unwell as error:
                if launched.process.find() is None or time.monotonic() > deadline:
                    return f"does not answer ({error})"
            self._cancel.wait(_POLL)
        raise Cancelled(f"{service.name}: the check was called off")

    def _launch(self, service: Service) -> None:
        begun = time.monotonic()
        service.sweep()
        with self._lock:
            if self._cancel.is_set():
                raise Cancelled(f"{service.name}: the start was called off")
            child = service.start()
            identity = process.identify(child.pid)
            self._started[service.name] = (identity, service)
            services = {**self._state.services, service.name: Launched(identity, service.digest())}
            stored = self._state.stored and service.name != storage.NAME
            self._remember(replace(self._state, services=services, stored=stored))
        service.wait_until_well(child, self._cancel)
        self._report(f"{service.name} is ready at {service.address} ({time.monotonic() - begun:.1f} s)")

    def _undo(self) -> None:
        """Stop what this `up` started, so that it leaves either everything running or nothing new."""
        self._cancel.set()
        with self._lock:  # from here on no thread starts anything
            started = dict(self._started)
        for identity, service in started.values():
            _logger.debug("stopping %s, which was started by a failed `up`", service.name)
            process.stop(identity, service.stop_within)
            service.sweep()
        services = {name: one for name, one in self._state.services.items() if name not in started}
        self._remember(State(self._state.ports, services))

    def _remember(self, state: State) -> None:
        self._state = state
        self._folder.save(state)


def _after(prerequisites: Sequence[Future[Any]], work: Callable[[Catalogue], None], parts: Catalogue) -> None:
    """Do the work once the prerequisites are done; where one failed, fail in the same way."""
    for prerequisite in prerequisites:
        prerequisite.result()
    work(parts)


@dataclass(frozen=True)
class Catalogue:
    """The servers that run, and where each answers."""

    tracking: Service
    storage: Service
    serving: Service
    endpoints: Endpoints
    install: TritonInstall

    @property
    def services(self) -> tuple[Service, ...]:
        """All servers, in the order in which they are shown."""
        return (self.tracking, self.storage, self.serving)


def endpoints(ports: dict[str, int], credentials: Credentials) -> Endpoints:
    """Return what clients need."""
    return Endpoints(tracking.url(ports), storage.endpoint(ports, credentials), serving.endpoint(ports))


def catalogue(folder: StateFolder, ports: dict[str, int], credentials: Credentials) -> Catalogue:
    """Describe the servers; nothing is started or installed."""
    install = locate_triton(folder.path)
    where = endpoints(ports, credentials)
    return Catalogue(
        tracking=tracking.service(folder, ports),
        storage=storage.service(folder, ports, credentials),
        serving=serving.service(folder, ports, where.s3, install),
        endpoints=where,
        install=install,
    )
