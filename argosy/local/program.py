"""One container's program on this machine: its words, environment, working directory and volumes.

Here it runs as a process; `containers` has the one that runs in its image.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from argosy.errors import ManifestError
from argosy.local.artifacts import fetched_inputs, secrets_of
from argosy.local.context import Context
from argosy.local.errors import NodeError, NoProgram
from argosy.local.kept import CONFIG_MAP, SECRET, Kept, Source
from argosy.local.model import Container, EnvVar, Template, Workflow
from argosy.local.mounts import EMPTY, make
from argosy.local.paths import TEMPORARY, PathMap, Shown, cleaned, hidden, refusal
from argosy.local.process import Ended, refuse_unfit, run_process
from argosy.local.scope import Scope
from argosy.step.program import TERMINATION_LOG

_WORDS_BYTES = 4096
_FULL = 16 * 1024  # bytes that are left of a disk that is full
PYTHONS = ("python", "python3")

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


# What a process needs of the machine that it runs on, and what belongs to the machine, not to the step.
_INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH"),
        *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"),
        *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
        *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    }
)
_INHERITED_FAMILIES = ("LC_", "ARGOSY_")
_NO_TERMINAL = "argosy.local.breakpoints.refuse"


class Program:
    """A container of a pod. `folder` is the pod's, `paths` say where the container's own paths lie."""

    def __init__(
        self, ctx: Context, container: Container, folder: Path, scope: Scope, paths: PathMap, pod_name: str
    ) -> None:
        self.ctx, self.container, self.folder = ctx, container, folder
        self.scope, self.paths, self.pod_name = scope, paths, pod_name

    def environment(self, last_words: Path) -> tuple[dict[str, str], dict[str, str]]:
        """The variables that the container declares, and all that the program gets."""
        variables = _declared_variables(self.container, self.ctx, self.pod_name, self.word)
        temporary = TEMPORARY[0] if self.paths.shown else str(self.folder / "tmp")
        own = {"TMPDIR": temporary, TERMINATION_LOG: str(last_words)}
        return variables, {**self.ctx.environment, **own, **variables}

    def mount(self) -> None:
        """Make its volumes, one that another container of the pod has made included."""
        for mount in sorted(self.container.mounts, key=lambda mount: len(mount.path)):
            make(mount, self.paths, self.ctx.kept, self.ctx.run_dir, self.folder)

    @contextmanager
    def _laid(
        self, otherwise: Path, argv: Sequence[str], env: Mapping[str, str]
    ) -> Iterator[tuple[Path, str]]:
        """Where it starts, and the plan of its view, if it has one; the view is there while inside.

        Raises OSError.
        """
        cwd, paths = self.working_dir(otherwise), self.paths
        if not paths.shown:
            yield cwd, ""
            return
        declared = self.container.working_dir
        inside = paths.seen(self.scope.render(declared)) if declared else str(cwd)
        volumes = [(folder, paths.inside(path)) for path, folder in paths.volumes.items()]
        script = "" if self.container.source is None else self._script.read_text("utf-8")
        text = "\n".join([*argv, *env.values(), script])
        plan = paths.root.with_name("view")
        view = Shown(paths.root, paths.shown.values(), volumes, text, _needed(self.ctx))
        try:
            view.lay(plan, inside, self.folder / "tmp")
            yield cwd, str(plan)
        finally:
            view.clear()

    def room(self, path: str) -> None:
        """Make room for an output at a declared path."""
        self.paths.place(path).parent.mkdir(parents=True, exist_ok=True)

    def working_dir(self, otherwise: Path) -> Path:
        """Where it starts: as the container says, or `otherwise`."""
        if not self.container.working_dir:
            return otherwise
        folder = self.paths.place(self.scope.render(self.container.working_dir))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def _script(self) -> Path:
        return self.folder / "script"

    def argv(
        self, variables: Mapping[str, str], env: Mapping[str, str], parameters: Mapping[str, str]
    ) -> list[str]:
        """Its command line. Raises NoProgram where this machine has none, NodeError for words too long."""
        words = [self.word(word, variables) for word in (*self.container.command, *self.container.args)]
        if self.container.source is not None:
            words.append(str(self.script()))
        return self.found(words, env, parameters)

    def script(self) -> Path:
        """The file with the text of a script template."""
        self._script.write_text(self.scope.render(self.container.source or "", self.paths.rewrite), "utf-8")
        return self._script

    async def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        work: Path,
        log: Path,
        capture: bool,
        limit: float | None,
    ) -> Ended:
        """Run it to its end, as `run_process` does; it starts in `work` unless it says where."""
        with self._laid(work, argv, env) as (cwd, plan):
            return await run_process(argv, cwd=cwd, env=env, log=log, capture=capture, limit=limit, plan=plan)

    async def asked(self, words: list[str], *, work: Path, log: Path, limit: float) -> int:
        """The exit code of a command beside it, as of a probe."""
        _, env = self.environment(self.folder / "probe-log")
        argv = self.found(words, env, {})
        return (await self.run(argv, env, work=work, log=log, capture=False, limit=limit)).code

    def found(self, words: list[str], env: Mapping[str, str], parameters: Mapping[str, str]) -> list[str]:
        """The words with the program's path in place of its name. Raises NoProgram and NodeError."""
        if words[0] in PYTHONS:
            words[0] = sys.executable
        program = shutil.which(words[0], path=env["PATH"]) if "/" not in words[0] else words[0]
        if program is None:
            raise NoProgram(words[0], "there is none on this machine; the image's programs are not used here")
        argv = [program, *words[1:]]
        refuse_unfit(argv, env, parameters)
        return argv

    def word(self, source: str, variables: Mapping[str, str]) -> str:
        """A word of the manifest: tags, declared paths and `$(NAME)` replaced."""

        def rewrite(literal: str, after_value: bool, before_value: bool) -> str:
            return _expanded(self.paths.rewrite(literal, after_value, before_value), variables)

        return self.scope.render(source, rewrite)


def _needed(ctx: Context) -> list[str]:
    """Folders of this machine that any program of a run may need: the run's, Python's and its packages'."""
    folders = [*ctx.environment.get("PYTHONPATH", "").split(":"), *sys.path]
    known = [str(ctx.run_dir), str(ctx.seen_dir), sys.prefix, sys.base_prefix, sys.executable, *folders]
    places = {folder for folder in known if folder.startswith("/")}
    return sorted(p for p in places if not any(p.startswith(f"{other}/") for other in places))


def path_map(
    ctx: Context, container: Container, declared: Iterable[str], root: Path, work: Path, *, alone: bool
) -> PathMap:
    """Where a container's declared paths lie: shown to its program wherever that is possible here.

    `alone`: no other container of its pod runs at the same time.
    """
    paths = cleaned(declared)
    if not paths:
        return PathMap(paths, root, work)
    if ctx.only is not None and ctx.only.terminal:
        return PathMap(paths, root, work, dict.fromkeys(paths, "it runs under the debugger"))
    if why := refusal(ctx.environment):
        return PathMap(paths, root, work, dict.fromkeys(paths, why))
    needed = _needed(ctx)
    kinds = {SECRET, CONFIG_MAP, *([EMPTY] if alone else [])}  # in which nobody else finds an empty folder
    roomy = cleaned([mount.path for mount in container.mounts if mount.kind in kinds])
    roomy |= cleaned([container.working_dir or ""])
    moved: dict[str, str] = {}
    for path in sorted(paths, key=len):
        above = next((why for known, why in moved.items() if path.startswith(f"{known}/")), "")
        if why := above or hidden(path, needed, path in roomy):
            moved[path] = why
    return PathMap(paths, root, work, moved)


def told(ended: Ended, last_words: Path) -> str:
    """Why a program failed: how it ended, the line that it left as its last words, and a disk that is full.

    On a full disk neither that line nor the log can have been written.
    """
    message = ended.message
    with suppress(OSError):
        words = last_words.read_bytes()[:_WORDS_BYTES].decode("utf-8", errors="replace")
        if line := " ".join(words.split()):
            message = f"{message}: {line}"
    if ended.code and _is_full(last_words.parent):
        message = f"{message}; the disk of {last_words.parent} is full, which may be why"
    return message


def _is_full(folder: Path) -> bool:
    """Whether there is next to no room on the disk of a folder."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    free = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    return disk.f_blocks > 0 and free * disk.f_frsize < _FULL


def paths_of(
    ctx: Context, container: Container, declared: Iterable[str], place: Path, pod_dir: Path, *, alone: bool
) -> PathMap:
    """The paths of a container whose own folder is `place`, in a pod whose folder is `pod_dir`.

    `alone`: no other container of its pod runs at the same time.
    """
    if ctx.containers is not None:
        return ctx.containers.paths(ctx, container, place, pod_dir)
    return path_map(ctx, container, declared, place / "root", place / "work", alone=alone)


def program_of(
    ctx: Context,
    container: Container,
    folder: Path,
    scope: Scope,
    paths: PathMap,
    pod_name: str,
    template: Template | None = None,
) -> Program:
    """A container's program, as this run runs them; `template` is that of a main one."""
    given = (ctx, container, folder, scope, paths, pod_name)
    if ctx.containers is None:
        return Program(*given)
    contained: Program = ctx.containers.contained(template, *given)
    return contained


def declared_paths(container: Container) -> list[str]:
    """The paths that a container names itself: what it mounts, and where it works."""
    return [*(mount.path for mount in container.mounts), *filter(None, [container.working_dir])]


def base_environment(
    own: Mapping[str, str], kept: Kept, given: Mapping[str, str], python: Path
) -> dict[str, str]:
    """Variables of every step of a run: what a process needs of the runner's own, and what the caller gives.

    Nothing else of the runner's environment: in a cluster a step has not got its author's shell either. This
    Python comes first on PATH, its output is unbuffered, and a breakpoint is refused.
    """
    needed = {
        name: text for name, text in own.items() if name in _INHERITED or name.startswith(_INHERITED_FAMILIES)
    }
    merged = {**needed, **kept.variables, **given}
    merged["PATH"] = f"{python.parent}:{merged.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    merged.setdefault("PYTHONUNBUFFERED", "1")
    merged.setdefault("PYTHONBREAKPOINT", "0" if own.get("PYTHONBREAKPOINT") == "0" else _NO_TERMINAL)
    return merged


def check_environment(
    workflow: Workflow, environment: Mapping[str, str], kept: Kept, names: Iterable[str]
) -> None:
    """Raise ManifestError for keys of Secrets or ConfigMaps that nobody gives here, and a step needs.

    `names` are those of the templates that may run.
    """
    sources: dict[str, set[Source]] = {}
    missing: dict[Source, str] = {}
    for template, variable, source in _from_outside(workflow, names):
        if kept.value(source) is not None:
            continue
        sources.setdefault(variable.name, set()).add(source)
        if variable.name not in environment and not variable.optional:
            said = f"template '{template}': env '{variable.name}' comes from the {source}"
            missing.setdefault(source, said)
        elif len(sources[variable.name]) > 1 and variable.name in kept.variables:
            both = " and ".join(f"{s.name}/{s.key}" for s in sorted(sources[variable.name]))
            raise ManifestError(
                f"env '{variable.name}' stands for {both}, which are two values: --env-file has one line for "
                f"both; write one for each, as {source.name}/{source.key}=VALUE"
            )
    running = set(names)
    for where, taker, artifact in fetched_inputs(workflow):
        for source in secrets_of(artifact) if taker.name in running else ():
            if kept.value(source) is None:
                said = f"{where}: artifact '{artifact.name}' needs the {source}"
                missing.setdefault(source, said)
    if missing:
        lines = ", ".join(f"{source.name}/{source.key}=VALUE" for source in missing)
        raise ManifestError(
            f"{'; '.join(missing.values())}; write the line{'s' * (len(missing) > 1)} {lines} in a file for "
            "--env-file, or put it in the file that 'secrets' in argosy.yaml names"
        )


def _from_outside(workflow: Workflow, names: Iterable[str]) -> Iterator[tuple[str, EnvVar, Source]]:
    for template in (workflow.templates[name] for name in names):
        for container in template.programs:
            for variable in container.env:
                if variable.source is not None:
                    yield template.name, variable, variable.source


def _declared_variables(
    container: Container, ctx: Context, pod: str, render: Callable[[str, Mapping[str, str]], str]
) -> dict[str, str]:
    """The variables that a container declares, in order; later ones may use `$(NAME)` of earlier ones.

    Raises NodeError for a Secret or ConfigMap of `envFrom` that nobody gives.
    """
    known: dict[str, str] = {}
    for whole in container.env_from:
        held = {
            s.key: text for s, text in ctx.kept.values.items() if (s.kind, s.name) == (whole.kind, whole.name)
        }
        if not held and not whole.optional:
            raise NodeError(f"envFrom needs the {whole.kind} '{whole.name}': give its file with -f")
        known |= {f"{whole.prefix}{key}": text for key, text in held.items()}
    for variable in container.env:
        if variable.field_path:
            known[variable.name] = _pod_field(variable.field_path, ctx, pod)
        elif variable.source is not None:
            value = ctx.kept.value(variable.source)
            value = ctx.environment.get(variable.name) if value is None else value
            if value is not None:
                known[variable.name] = value
            elif not variable.optional:
                raise NodeError(f"env '{variable.name}' comes from the {variable.source}, which nobody gives")
        else:
            known[variable.name] = render(variable.value or "", known)
    return known


def _expanded(literal: str, known: Mapping[str, str]) -> str:
    """Kubernetes' own references: `$(NAME)` of a declared variable becomes its value, `$$` a dollar sign."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(value, literal)


def _pod_field(path: str, ctx: Context, pod: str) -> str:
    workflow = ctx.plan.workflow
    return {
        "metadata.name": pod,
        "metadata.namespace": workflow.namespace,
        "metadata.uid": f"{ctx.plan.uid}-{pod.rpartition('-')[2]}",
        "spec.nodeName": platform.node(),
        "spec.serviceAccountName": workflow.service_account,
        "status.hostIP": "127.0.0.1",
        "status.podIP": "127.0.0.1",
    }[path]
