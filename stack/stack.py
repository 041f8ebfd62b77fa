"""The embedded stack: MLflow, S3 and Triton on loopback, with all their state in one folder."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from argosy.errors import StackError
from argosy.local.stacks import ServiceStatus, StackStatus
from argosy.stack import dataset, process, storage
from argosy.stack.process import HOST
from argosy.stack.service import Endpoints, Service, Unwell
from argosy.stack.serving import prepare_triton
from argosy.stack.startup import Startup, catalogue, endpoints
from argosy.stack.state import Launched, Report, State, StateFolder, default_state_dir


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
