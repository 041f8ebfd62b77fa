"""The request of a run: kept in its folder, so that it can be continued and repeated as it was."""

import json
import random
import shutil
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from argosy import __version__
from argosy.code.bundle.attach import named_in
from argosy.code.bundle.local import code_file_beside, in_image, with_code_beside
from argosy.code.bundle.local import isolated as run_isolated
from argosy.code.bundle.packages import check_here
from argosy.compose.given import as_written, fitting
from argosy.compose.loader import is_manifest, load_documents, load_pipeline
from argosy.compose.settings import RUNNERS, Settings
from argosy.declare.modules import home_of
from argosy.errors import UsageError
from argosy.lint.engine import refuse_invalid_files
from argosy.local.runs.describe import CODE_FILE, code_of
from argosy.local.runs.record import REQUEST_FILE, RUNS, History, Record
from argosy.local.state import Check, is_lines, is_text, is_texts, wrong_field
from argosy.manifest.linking import link, main_of
from argosy.manifest.parts import templates_in
from argosy.step.files import write_text

if TYPE_CHECKING:
    from argosy.local.containers import Containers

LIBRARIES = ("WorkflowTemplate", "ClusterWorkflowTemplate")
_REQUESTS = "requests"
_SUFFIX = 5  # characters that make a run's name its own


@dataclass(frozen=True)
class Request:
    """A manifest with its final name, the user's parameters, and where steps find the user's modules."""

    manifest: dict[str, Any]
    given: dict[str, str]
    module_dirs: tuple[str, ...]
    state_dir: Path
    run: str
    pipeline: str = ""
    files: tuple[str, ...] = ()
    """Files that hold Secrets and ConfigMaps: their values are read anew, never kept."""
    runner: str = RUNNERS[0]
    """The sort of its steps."""

    @property
    def run_dir(self) -> Path:
        return self.state_dir / RUNS / self.run

    @property
    def workflow_name(self) -> str:
        """The name that the workflow has, or will get."""
        return str((self.manifest.get("metadata") or {}).get("name") or self.run)

    @classmethod
    def new(
        cls,
        target: str,
        given: dict[str, str],
        state_dir: Path,
        files: tuple[Path, ...] = (),
        *,
        isolated: bool = False,
        runner: str = RUNNERS[0],
    ) -> "Request":
        """The request for a built-in pipeline's name, a Python file or a manifest file.

        `files` hold what the manifest names and does not have: templates, Secrets, ConfigMaps.
        With `isolated`, steps whose code travels run from their bundle alone. A `runner` other than the first
        has the manifest as a cluster would, with the ConfigMap of the steps' code.

        Raises:
            UsageError: there is no such pipeline or file, it cannot be compiled or read, or a value is of
                another type than the pipeline declares.
        """
        file = Path(target.partition(":")[0])
        folders: tuple[str, ...] = ()
        settings = Settings.find()
        in_images = runner != RUNNERS[0]
        if in_images and isolated:
            raise UsageError(f"--isolated is of processes; with --runner {runner} a step has its image alone")
        if is_manifest(target):
            folders = (str(file.resolve().parent),)
            if isolated:
                raise UsageError("--isolated is for pipelines; a manifest has the bundle beside it")
            manifest = dict(main_of(load_documents(file), str(file)))
            files = (file, *files)
            refuse_invalid_files(files)
            manifest, given = settings.around_file(manifest), as_written(given)
            if in_images:
                files = (*files, *code_file_beside(manifest, file, state_dir))
            else:
                manifest = with_code_beside(manifest, file, state_dir)
        else:
            from argosy.cli.compile import compiled, with_images  # and Couler, which a manifest needs not

            folders = home_of(file).folders if file.is_file() else ()
            pipeline = load_pipeline(target)
            given = fitting(pipeline.interface, given)
            manifest = compiled(pipeline)
            notes: tuple[str, ...] = ()
            if in_images:
                manifest = with_images(manifest, folders)
                manifest, notes, code = in_image(manifest, settings, folders, state_dir)
                files = (*files, *code)
            else:
                check_here(templates_in(manifest))
            if isolated:
                manifest, notes = run_isolated(manifest, settings, folders, state_dir)
            for note in notes:
                click.echo(f"warning: {note}", err=True)
        if settings.overlays:
            from argosy.compose.environments.fields import without_pod_fields

            manifest = without_pod_fields(manifest)
        # A value of the settings is the user's own: it is not pointed at the embedded stack.
        given = {**settings.given(manifest), **given}
        files = (*files, *_code_beside([path for path in files if path != file], state_dir))
        others = [document for path in files for document in load_documents(path)]
        manifest, run = _named(link(manifest, others))
        module_dirs = (*folders, str(Path.cwd()))
        places = tuple(str(path.resolve()) for path in files)
        pipeline_name = run[:-_SUFFIX].rstrip("-")
        return cls(manifest, given, module_dirs, state_dir, run, pipeline_name, places, runner)

    @classmethod
    def load(cls, state_dir: Path, record: Record) -> "Request":
        """The request of an earlier run, in its own state folder, else in `state_dir`.

        Raises:
            UsageError: it is lost or damaged.
        """
        state_dir = record.state_dir or state_dir
        file = record.folder / REQUEST_FILE
        at_first = state_dir / _REQUESTS / f"{record.run}.json"  # where it was kept before
        if not file.exists() and at_first.exists():
            file = at_first
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            raise UsageError(f"{file} does not tell what run '{record.run}' was asked for") from None
        if wrong := _damage(content):
            raise UsageError(f"{file} is damaged: {wrong}")
        manifest, given, folders = content["manifest"], content["given"], tuple(content["module_dirs"])
        pipeline = str(content.get("pipeline", ""))
        files = tuple(content.get("files", ()))
        runner = str(content.get("runner", RUNNERS[0]))
        return cls(manifest, given, folders, state_dir, record.run, pipeline, files, runner)

    @property
    def project(self) -> str:
        """The folder of what was asked for, or the current one of then."""
        return self.module_dirs[:-1][-1] if self.module_dirs[1:] else "".join(self.module_dirs)

    def containers(self) -> "Containers | None":
        """The engine that runs its steps; None: they are processes. Raises UsageError if it is not there."""
        if self.runner == RUNNERS[0]:
            return None
        from argosy.local.containers import Containers

        return Containers.open(self.runner)

    def again(self, given: dict[str, str]) -> "Request":
        """The same under a new name, with some parameters given anew."""
        base = self.pipeline or self.run[:-_SUFFIX].rstrip("-")
        run = f"{base}-{_suffix()}"
        manifest, metadata = self.manifest, self.manifest.get("metadata") or {}
        if metadata.get("name") == self.run:
            manifest = {**manifest, "metadata": {**metadata, "name": run}}
        return replace(self, manifest=manifest, given={**self.given, **given}, run=run, pipeline=base)

    def save(self, alone: Mapping[str, Any] | None = None) -> None:
        """Keep the request; `alone` tells of which run one step is done again, and with which inputs anew."""
        content = {
            "argosy": __version__,
            "pipeline": self.pipeline,
            "manifest": self.manifest,
            "given": self.given,
            "module_dirs": self.module_dirs,
            "files": self.files,
            "runner": self.runner,
            **({"alone": alone} if alone else {}),
        }
        with self.unless_refused(new=not self.run_dir.exists()):
            self._write(content)

    @contextmanager
    def unless_refused(self, *, new: bool) -> Iterator[None]:
        """While inside: what is refused before anything began leaves no folder of a run that is `new`."""
        try:
            yield
        except UsageError:
            if new and Record.read(self.run_dir).is_untouched:
                self.forget()
            raise

    def forget(self) -> None:
        """Remove the folder of a run in which nothing began."""
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def _write(self, content: Mapping[str, Any]) -> None:
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            if Record.read(self.run_dir).is_untouched:
                History(self.state_dir).begin(self.run)
            write_text(self.run_dir / REQUEST_FILE, json.dumps(content, ensure_ascii=False), sync=True)
            code = code_of(templates_in(self.manifest), self.module_dirs)
            write_text(self.run_dir / CODE_FILE, json.dumps(code, ensure_ascii=False))
        except OSError as error:
            raise UsageError(f"the run's folder {self.run_dir} cannot be made: {error.strerror}") from None


def _code_beside(files: Sequence[Path], state_dir: Path) -> tuple[Path, ...]:
    """Files with the code that the steps of WorkflowTemplates mount: beside each, unless it is given as well.

    Raises:
        UsageError: it is in none.
    """
    found = [(path, document) for path in files for document in load_documents(path)]
    given = {(d.get("metadata") or {}).get("name") for _, d in found if d["kind"] == "ConfigMap"}
    templates = [(path, d) for path, d in found if d["kind"] in LIBRARIES and named_in(d) not in given]
    return tuple(dict.fromkeys(c for path, d in templates for c in code_file_beside(d, path, state_dir)))


def _damage(content: Any) -> str:
    """The field of a kept request that is not as it was written; empty where all are sound."""
    if not isinstance(content, dict):
        return "it is no object"
    if wrong := wrong_field(content, _FIELDS, _LATER_FIELDS):
        return wrong
    manifest = content["manifest"]
    spec = manifest.get("spec")
    if not isinstance(manifest.get("kind"), str) or not isinstance(manifest.get("metadata", {}), dict):
        return "manifest"
    templates = spec.get("templates") if isinstance(spec, dict) else None
    sound = isinstance(templates, list) and all(
        isinstance(t, dict) and is_text(t.get("name")) for t in templates
    )
    return "" if sound else "manifest.spec"


_FIELDS: dict[str, Check] = {
    "manifest": lambda value: isinstance(value, dict),
    "given": is_texts,
    "module_dirs": is_lines,
}
# The first requests had none of these.
_LATER_FIELDS: dict[str, Check] = {
    "files": is_lines,
    "runner": lambda value: value in RUNNERS,
    "pipeline": is_text,
}


def _suffix() -> str:
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=_SUFFIX))


def _named(manifest: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The manifest with a name, as Argo's `generateName` gives it, and a folder's name for the run."""
    metadata = manifest.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    suffix = _suffix()
    fixed = metadata.get("name")
    if fixed and manifest["kind"] == "Workflow":
        return manifest, f"{fixed}-{suffix}"
    base = metadata.pop("generateName", None) or f"{fixed or 'workflow'}-"
    return {**manifest, "metadata": {**metadata, "name": f"{base}{suffix}"}}, f"{base}{suffix}"
