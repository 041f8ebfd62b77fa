"""The common part of `argosy submit` and `couler run`: their source, and what they do with it."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from argosy.cli.compile import composed, placed_in, with_images, with_memoize
from argosy.cluster.api import Api
from argosy.cluster.delivery import Delivered, check_manifest, deliver
from argosy.cluster.destination import Destination
from argosy.cluster.program import is_program, run_program
from argosy.code.bundle.attach import attach, code_beside, described_code
from argosy.compose.compiler import Kind
from argosy.compose.given import as_written, check_for_cluster, fitting, with_parameters
from argosy.compose.loader import is_manifest, load_manifest, load_pipeline
from argosy.compose.settings import Settings
from argosy.declare.modules import home_of
from argosy.errors import UsageError
from argosy.manifest.emit import to_yaml


@dataclass
class Submission:
    """Delivers manifests, or prints them.

    Attributes:
        destination: as the command line has it; it goes before what a program says.
        dry_run: print, and touch nothing.
        memoize: let the cluster remember what steps declared with `cache=True` made.
        folders: where modules of steps are looked for before `sys.path`.
        compiled: the file that the manifest was read from; its code, if any, lies beside it.
        delivered: on which server, what was done, and where that is.
    """

    destination: Destination
    dry_run: bool = False
    memoize: bool = False
    folders: tuple[str, ...] = ()
    compiled: Path | None = None
    delivered: list[tuple[Api, Delivered, Destination]] = field(default_factory=list)
    _documents: list[str] = field(default_factory=list)

    def __call__(
        self, manifest: dict[str, Any], secrets: list[dict[str, Any]], destination: Destination
    ) -> Any:
        """Deliver one manifest with its Secrets; returns the server's answer."""
        where = self.destination.over(destination)
        manifest, code = self._with_code(manifest)
        if self.dry_run:
            return self._note(manifest, secrets, where, code)
        api, namespace = where.connect(manifest)
        if code and self.compiled is not None and not api.holds_code:
            name = code["metadata"]["name"]
            click.echo(f"{api.where} takes no code: ConfigMap '{name}' must have been applied", err=True)
            code = None
        done = deliver(api, namespace, manifest, secrets, code=code)
        self.delivered.append((api, done, where))
        click.echo(str(done))
        return done.answer

    def _with_code(self, manifest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The manifest with the code of its steps, and the ConfigMap that holds it."""
        if self.compiled is not None:
            return manifest, code_beside(self.compiled, manifest)
        manifest = with_images(manifest, self.folders)
        hindrances: tuple[str, ...] = ()
        if self.memoize:
            manifest, hindrances = with_memoize(manifest, self.folders)
        attached = attach(manifest, Settings.find(), self.folders)
        for note in (*hindrances, *attached.notes):
            click.echo(f"warning: {note}", err=True)
        return attached.manifest, attached.config_map

    def print(self) -> None:
        """Print what a dry run would have delivered."""
        click.echo("---\n".join(self._documents), nl=False)

    def _note(
        self,
        manifest: dict[str, Any],
        secrets: list[dict[str, Any]],
        where: Destination,
        code: dict[str, Any] | None,
    ) -> dict[str, Any]:
        check_manifest(manifest)
        if where.namespace:
            manifest = {**manifest, "metadata": {**manifest["metadata"], "namespace": where.namespace}}
        for secret in secrets:
            click.echo(f"a Secret '{secret['metadata']['name']}' would be created first", err=True)
        if code:
            click.echo(f"{described_code(code)} would be created first", err=True)
        self._documents.append(to_yaml(manifest))
        # A program may ask the answer for the name.
        metadata = manifest["metadata"]
        return {**manifest, "metadata": {"name": metadata.get("generateName", "") + "xxxxx", **metadata}}


def submit_source(target: str, kind: Kind | None, given: Mapping[str, str], submission: Submission) -> None:
    """Deliver what a pipeline's name, a Python file or a manifest file stands for.

    Raises:
        UsageError: there is no such thing, it does not compile, or a parameter does not fit.
    """
    check_for_cluster(given)
    # A program's own prints are no part of the YAML.
    with redirect_stdout(sys.stderr) if submission.dry_run else nullcontext():
        _submit(target, kind, given, submission)
    submission.print()


def _submit(target: str, kind: Kind | None, given: Mapping[str, str], submission: Submission) -> None:
    if is_manifest(target):
        _refuse_kind(kind, "a manifest has its own")
        if submission.memoize:
            raise UsageError(f"--memoize is for pipelines; compile the one of {target} with it")
        submission.compiled = Path(target)
        manifest = Settings.find().around_file(load_manifest(Path(target)))
        submission(
            with_parameters(manifest, as_written(given), complete=_is_run(manifest)), [], Destination()
        )
    elif is_program(target):
        _refuse_kind(
            kind, "a program without @pipeline is a Workflow, or a CronWorkflow by its config_workflow"
        )
        submission.folders = home_of(Path(target)).folders
        run_program(Path(target), as_written(given), submission, dry_run=submission.dry_run)
    else:
        pipeline = load_pipeline(target)
        given = fitting(pipeline.interface, given)
        manifest = composed(pipeline, kind or "Workflow")
        with placed_in(pipeline, manifest):
            submission(with_parameters(manifest, given, complete=_is_run(manifest)), [], Destination())


def _refuse_kind(kind: Kind | None, why: str) -> None:
    if kind:
        raise UsageError(f"--kind {kind} is for pipelines: {why}")


def _is_run(manifest: Mapping[str, Any]) -> bool:
    return manifest.get("kind") in ("Workflow", "CronWorkflow")
