"""Steps in containers: each program runs in its real image, by podman or docker, as its manifest has it.

One container for each program, made, started and removed by a guard (`around`), so that none is
left, whatever kills the runner. Paths are the manifest's own: what is mounted and what is taken is bound from
the step's folder, and outputs elsewhere are copied out when the program has ended. The network is the
machine's, where the embedded stack listens. Values of variables are on no command line.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from argosy.code.images.reference import Reference
from argosy.errors import ManifestError, UsageError
from argosy.local.box import Box
from argosy.local.context import Context
from argosy.local.errors import NodeError, NoProgram, NotMade
from argosy.local.kept import SECRET
from argosy.local.model import Container, Template, Workflow
from argosy.local.mounts import SHARED_MEMORY, Mount, shared_folder, write_keys
from argosy.local.node import folder_name
from argosy.local.paths import PathMap
from argosy.local.process import Ended, refuse_unfit, run_process
from argosy.local.program import Program
from argosy.step.files import write_text
from argosy.text import one_line

SCRIPT = "/argo/staging/script"
"""Where a script template's text lies, as in a pod."""

LABEL = "dev.argosy.step"
"""Of every container of a step."""

_OPEN = 0o777  # as a volume is in a pod: whatever user the image has can write
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# What the engine's own client reads of its environment: a step's value there would change what it does.
_CLIENTS = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "REGISTRY_AUTH_FILE", "DBUS_SESSION_BUS_ADDRESS", "NOTIFY_SOCKET"),
        *("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
        *("DOCKER_TLS", "DOCKER_API_VERSION", "DOCKER_DEFAULT_PLATFORM", "DOCKER_CUSTOM_HEADERS"),
        *("DOCKER_CONTENT_TRUST", "CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINER_SSHKEY"),
        *("STORAGE_DRIVER", "STORAGE_OPTS"),
    }
)
_FAMILIES = ("LD_", "XDG_", "CONTAINERS_", "_CONTAINERS_", "LISTEN_", "PODMAN_", "BUILDAH_")
_NOT_THERE = re.compile(r"executable file .*not found|no such file or directory|permission denied", re.I)
_ABSENT = re.compile(r"could not (?:be found|find)|no such (?:file|object|container)", re.I)
# How the first process of a container, which starts the program, says that it cannot.
_FIRST_PROCESS = re.compile(
    r"^(?:ERROR \(catatonit:\d+\): failed to exec pid1|\[FATAL tini \(\d+\)\] exec .+ failed): (.*)$"
)
_TAIL = 4096


@dataclass(frozen=True)
class Image:
    """An image that is here: its id, the user that it names, who may be nobody, whether it has a command."""

    id: str
    user: str = ""
    runs: bool = True

    @property
    def is_root(self) -> bool | None:
        """Whether its programs run as root; None where its user is a name, which tells nothing."""
        user = self.user.partition(":")[0] or "0"
        return int(user) == 0 if user.isdecimal() else (True if user == "root" else None)


@dataclass(frozen=True)
class Containers:
    """A container engine of this machine.

    Attributes:
        kind: `podman` or `docker`.
        program: its path.
        rootless: whether its containers belong to a user who is not root.
        limits: which of `cpu` and `memory` it can limit.
        init: whether it has a first process that hands on signals, as Argo's own does.
    """

    kind: str
    program: str
    rootless: bool = False
    limits: frozenset[str] = frozenset({"cpu", "memory"})
    init: bool = True
    _images: dict[str, Image] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _pulling: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, kind: str) -> Containers:
        """The engine of this machine.

        Raises:
            UsageError: it is not installed, or does not answer.
        """
        program = shutil.which(kind)
        if program is None:
            raise UsageError(f"--runner {kind}: there is no {kind} here; install it, or use --runner process")
        done = _call([program, "info", "--format", "{{json .}}"])
        try:
            info = json.loads(done.stdout) if done.returncode == 0 else {}
        except ValueError:
            info = {}
        problems = info.get("ServerErrors") or ()
        if not info or problems:
            why = "; ".join(map(str, problems)) or _reason(done.stderr or done.stdout)
            raise UsageError(f"--runner {kind}: {kind} does not answer: {why}")
        return cls(kind, program, *(_of_podman(info) if kind == "podman" else _of_docker(info)))

    def prepare(self, workflow: Workflow, say: Callable[[str], None] = lambda _: None) -> None:
        """Refuse what this engine cannot do, and have the images here that the manifest names outright.

        `say` takes a line for people.

        Raises:
            ManifestError: a field cannot be heeded.
            UsageError: an image is not here and cannot be pulled.
        """
        leaves = [t for t in workflow.templates.values() if t.is_leaf]
        for template in leaves:
            _refuse(template)
        boxes = [(t, c) for t in leaves for c in t.programs]
        for line in self._warnings(boxes):
            if line not in self._told:
                self._told.add(line)
                say(line)
        for template, container in boxes:
            if "{{" in container.box.image:
                continue
            try:
                refuse_image(container, self.image(container.box.image, container.box.pull, say))
            except NodeError as error:
                raise UsageError(f"{template.place(container)}: {error}") from None

    def _warnings(self, boxes: Iterable[tuple[Template, Container]]) -> Iterator[str]:
        asked = [(t.name, c.box) for t, c in boxes]
        wanted = {
            "cpu": any(box.cpu is not None for _, box in asked),
            "memory": any(box.memory is not None for _, box in asked),
        }
        unheld = [what for what, is_wanted in wanted.items() if is_wanted and what not in self.limits]
        if unheld:
            yield (
                f"{self.kind} cannot limit {' and '.join(unheld)} here (no such cgroup): steps run without"
            )
        if gpus := sorted({f"'{name}'" for name, box in asked if box.gpus}):
            yield f"no GPU is handed to a container: {', '.join(gpus)} runs without"

    def image(self, name: str, policy: str = "", say: Callable[[str], None] = lambda _: None) -> Image:
        """An image by its name, pulled where the policy asks for it, once in a run.

        Without a policy it is pulled where it is not here, whatever its tag.

        Raises:
            NodeError: it is not here and cannot be pulled.
        """
        with self._pulling:
            if name not in self._images:
                found = None if policy == "Always" else self._inspected(name)
                if found is None and policy == "Never":
                    raise NodeError(f"image '{name}' is not here, and imagePullPolicy is Never")
                self._images[name] = found or self._pulled(name, say)
            return self._images[name]

    def known(self, name: str) -> str | None:
        """The id of an image that is here; None of one that is not, or whose name holds tags."""
        found = None if "{{" in name else self._images.get(name) or self._inspected(name)
        return found.id if found else None

    def _inspected(self, name: str) -> Image | None:
        for one in dict.fromkeys((name, _whole_name(name))):
            done = _call([self.program, "image", "inspect", one])
            if done.returncode == 0:
                known = json.loads(done.stdout)[0]
                settings = known.get("Config") or {}
                runs = bool(settings.get("Entrypoint") or settings.get("Cmd"))
                return Image(str(known["Id"]), str(settings.get("User") or ""), runs)
        return None

    def _pulled(self, name: str, say: Callable[[str], None]) -> Image:
        whole = _whole_name(name)
        plain = self.kind == "podman" and whole.partition("/")[0].rpartition(":")[0] in _LOOPBACK
        say(f"pulling {whole}")
        done = _call([self.program, "pull", "--quiet", *(["--tls-verify=false"] if plain else ()), whole])
        found = self._inspected(whole) if done.returncode == 0 else None
        if found is None:
            raise NodeError(f"image '{name}' is not here and cannot be pulled: {_reason(done.stderr)}")
        return found

    def paths(self, ctx: Context, container: Container, place: Path, pod_dir: Path) -> Layout:
        """The paths of a container whose own folder is `place`, in a pod whose folder is `pod_dir`."""
        folders = {}
        for number, mount in enumerate(container.mounts):
            shared = shared_folder(mount, ctx.seen_dir, pod_dir)
            folders[mount.path.rstrip("/")] = shared or place / "keys" / str(number)
        return Layout(folders, place)

    def contained(self, template: Template | None, *rest: Any) -> Program:
        """A container's program; `rest` is what `Program` takes, `template` that of a main one."""
        return _Contained(self, template, *rest)

    def create(
        self,
        box: Box,
        image: Image,
        name: str,
        *,
        command: Sequence[str] = (),
        args: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        binds: Iterable[Bind] = (),
        working_dir: str = "",
    ) -> list[str]:
        """The command line that makes a container.

        A variable without a value has it from the environment of the command. `command` takes the place of
        the image's ENTRYPOINT and CMD, `args` of its CMD.
        """
        podman = self.kind == "podman"
        words = [self.program, "create", f"--name={name}", "--pull=never", "--network=host"]
        words += ["--log-driver=none", f"--label={LABEL}=yes", "--security-opt=label=disable"]
        words += ["--init"] if self.init else []
        words += ["--http-proxy=false"] if podman else []
        words += self._identity(box, image)
        words += ["--security-opt=no-new-privileges"] if box.hardened else []
        words += ["--security-opt=seccomp=unconfined"] if box.unconfined else []
        if box.read_only:
            words += ["--read-only", *(["--read-only-tmpfs=false"] if podman else ())]
        words += [f"--cap-drop={one}" for one in box.dropped]
        words += [f"--cap-add={one}" for one in box.added]
        words += self._limits(box)
        if box.shared_memory is not None:
            size = f",size={box.shared_memory}" if box.shared_memory else ""
            words.append(f"--tmpfs={SHARED_MEMORY}:rw,nosuid,nodev,mode=1777{size}")
        words += [f"--workdir={working_dir}"] if working_dir else []
        for key, value in (env or {}).items():
            words.append(f"--env={key}" if value is None else f"--env={key}={value}")
        words += [str(bind) for bind in sorted(binds, key=lambda bind: bind.target.count("/"))]
        words += [f"--entrypoint={command[0]}"] if command else []
        return [*words, image.id, *command[1:], *args]

    def _identity(self, box: Box, image: Image) -> Iterator[str]:
        own, _, group = image.user.partition(":")
        user = own if box.user is None else str(box.user)
        if box.group is not None:
            group = str(box.group)
        elif box.user is not None:
            group = ""  # as the image's own list of users has it
        if box.user is not None or box.group is not None:
            yield f"--user={user or 0}{f':{group}' if group else ''}"
        yield from (f"--group-add={number}" for number in box.groups)

    def opening(self, image: Image, folders: Sequence[Path]) -> list[list[str]]:
        """The command that lets this machine's user remove what steps wrote into volumes, where it takes one.

        To a user who is not root a step's is a stranger. Docker's root opens them in the step's own image,
        if that has `chmod`.
        """
        if not folders or (self.kind == "podman" and not self.rootless) or os.geteuid() == 0:
            return []
        change = ["chmod", "-R", "a+rwX"]
        if self.kind == "podman":
            return [[self.program, "unshare", *change, *map(str, folders)]]
        binds = [Bind(folder, f"/volumes/{number}") for number, folder in enumerate(folders)]
        words = ["run", "--rm", "--pull=never", "--network=none", f"--label={LABEL}=yes", "--user=0"]
        words += ["--security-opt=label=disable", *map(str, binds), f"--entrypoint={change[0]}"]
        return [[self.program, *words, image.id, *change[1:], *(bind.target for bind in binds)]]

    def _limits(self, box: Box) -> Iterator[str]:
        if box.cpu is not None and "cpu" in self.limits:
            yield f"--cpus={min(box.cpu, os.cpu_count() or box.cpu)}"
        if box.memory is not None and "memory" in self.limits:
            yield from (f"--memory={box.memory}b", f"--memory-swap={box.memory}b")


@dataclass(frozen=True)
class Bind:
    """A file or folder of this machine at a path of a container."""

    source: Path
    target: str
    read_only: bool = False

    def __str__(self) -> str:
        fields = ["type=bind", f"source={self.source}", f"destination={self.target}"]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([*fields, *(["readonly"] if self.read_only else ())])
        return f"--mount={line.getvalue()}"


def _call(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def _reason(said: str) -> str:
    """The last line that an engine said, without its own word for an error."""
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "it says nothing"
    return one_line(re.sub(r"^(?:Error response from daemon|Error|ERROR): ", "", last), 300)


def _of_podman(info: Mapping[str, Any]) -> tuple[bool, frozenset[str], bool]:
    host = info.get("host") or {}
    rootless = bool((host.get("security") or {}).get("rootless"))
    known = set(host.get("cgroupControllers") or ())
    folders = ("/usr/libexec/podman", "/usr/lib/podman", "/usr/local/libexec/podman", "/usr/bin")
    init = any(Path(folder, "catatonit").exists() for folder in folders)
    return rootless, frozenset(known & {"cpu", "memory"}), init


def _of_docker(info: Mapping[str, Any]) -> tuple[bool, frozenset[str], bool]:
    rootless = any("rootless" in str(option) for option in info.get("SecurityOptions") or ())
    known = {"cpu": info.get("CpuCfsQuota"), "memory": info.get("MemoryLimit")}
    return rootless, frozenset(name for name, there in known.items() if there), True


def _whole_name(name: str) -> str:
    """An image's name as a cluster reads it, which knows one registry of its own."""
    try:
        return str(Reference.parse(name))
    except UsageError:
        return name


def _refuse(template: Template) -> None:
    where = f"template '{template.name}'"
    for container in template.programs:
        for refusal in container.box.refusals:
            raise ManifestError(f"{template.place(container)}: {refusal}")
    for tag, path in template.paths.items():
        if not path.startswith("/"):
            raise ManifestError(f"{where}: {tag} is {path!r}; a container needs a path that begins with /")


def refuse_image(container: Container, image: Image) -> None:
    """Refuse a container that must not run as root, and would, or has nothing to run. Raises NodeError."""
    box = container.box
    if not (image.runs or container.command or container.args or container.source is not None):
        raise NodeError(f"no command, and image '{box.image}' has none")
    if not box.non_root:
        return
    if box.user == 0 or (box.user is None and image.is_root):
        raise NodeError(f"runAsNonRoot is set, and image '{box.image}' runs as root: set runAsUser")
    if box.user is None and image.is_root is None:
        raise NodeError(
            f"runAsNonRoot is set, and the user '{image.user}' of image '{box.image}' is a name, which does "
            "not tell who that is: set runAsUser"
        )


class Layout(PathMap):
    """The paths of a container: its own, whatever they are; here in volumes and below its own folder."""

    def __init__(self, folders: Mapping[str, Path], own: Path) -> None:
        super().__init__((), own / "root", own / "work", {})
        self.own = own
        """The container's folder."""
        self.folders = dict(sorted(folders.items(), key=lambda item: -len(item[0])))
        """Where each mount lies, the longest path first."""

    def mount_of(self, path: str) -> str | None:
        """The mount that a path is inside of."""
        path = path.rstrip("/")
        return next((at for at in self.folders if path == at or path.startswith(f"{at}/")), None)

    def place(self, path: str) -> Path:
        """Where it lies on this machine."""
        at = self.mount_of(path)
        return (
            super().place(path) if at is None else self.folders[at] / path.rstrip("/")[len(at) :].strip("/")
        )

    def seen(self, path: str) -> str:
        """As it is."""
        return path

    def rewrite(self, literal: str, after_value: bool, before_value: bool) -> str:
        """As it is."""
        return literal


class _Contained(Program):
    """A program that runs in its image."""

    paths: Layout

    def __init__(self, engine: Containers, template: Template | None, *rest: Any) -> None:
        super().__init__(*rest)
        self.engine, self.template = engine, template
        self.box = self.container.box
        self.name = f"{folder_name(self.pod_name)}-{self.container.name}-{secrets.token_hex(4)}"
        self._own = self.paths.own / "engine"

    def environment(self, last_words: Path) -> tuple[dict[str, str], dict[str, str]]:
        """The variables that the container declares, and all that it gets beside the image's own."""
        variables, _ = super().environment(last_words)
        self._last_words = last_words
        return variables, {**self.ctx.environment, **variables}

    def mount(self) -> None:
        """Make its volumes, open to whatever user the image has."""
        for mount in self.container.mounts:
            self._make(mount, self.paths.folders[mount.path.rstrip("/")])

    def _make(self, mount: Mount, folder: Path) -> None:
        if self._is_shared(mount):
            inside = Path(mount.sub_path).parts
            # On this machine nobody else comes that far.
            folder.parents[len(inside)].mkdir(mode=0o700, parents=True, exist_ok=True)
            for level in reversed([folder, *folder.parents[: len(inside)]]):
                with suppress(FileExistsError):
                    level.mkdir()
                    level.chmod(_OPEN)
            return
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_keys(mount, folder, self.ctx.kept)
        _opened(folder, 0o644)

    def _is_shared(self, mount: Mount) -> bool:
        return shared_folder(mount, self.ctx.run_dir, self.folder) is not None

    def room(self, path: str) -> None:
        """Make room for an output that is copied out of the container."""
        if self.paths.mount_of(path) is None:
            self.paths.place(path).parent.mkdir(parents=True, exist_ok=True)

    def argv(
        self, variables: Mapping[str, str], env: Mapping[str, str], parameters: Mapping[str, str]
    ) -> list[str]:
        """Its words, which its image has the program for. Raises NodeError for words too long."""
        words = [self.word(word, variables) for word in (*self.container.command, *self.container.args)]
        if self.container.source is not None:
            self.script().chmod(0o644)
            words.append(SCRIPT)
        refuse_unfit(words, env, parameters)
        return words

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
        """Run it to its end in a container, which is gone afterwards. Raises NodeError."""
        orders = self._own / "orders.json"
        try:
            image = await asyncio.to_thread(
                self.engine.image, self.scope.render(self.box.image), self.box.pull
            )
            refuse_image(self.container, image)
            given = {name: self._on_command_line(name, value) for name, value in env.items()}
            await asyncio.to_thread(self._prepare, orders, argv, image, given)
            own = {name: env[name] for name, value in given.items() if value is None}
            start = [self.engine.program, "start", "--attach", self.name]
            begun = log.stat().st_size if log.exists() else 0
            ended = await run_process(
                start,
                cwd=self.folder,
                env={**os.environ, **own},
                log=log,
                capture=capture,
                limit=limit,
                around=orders,
            )
            return self._judged(ended, log, begun)
        except NotMade:
            raise NodeError(f"{self.engine.kind}: {_reason(_text(self._own / 'told'))}") from None
        finally:
            shutil.rmtree(self._own, ignore_errors=True)
            for folder in {f.parent for f in self.paths.folders.values() if f.parent.name == "keys"}:
                shutil.rmtree(folder, ignore_errors=True)

    async def asked(self, words: list[str], *, work: Path, log: Path, limit: float) -> int:
        """The exit code of a command in the container, as of a probe."""
        argv = [self.engine.program, "exec", self.name, *words]
        env = dict(os.environ)
        return (await run_process(argv, cwd=work, env=env, log=log, capture=False, limit=limit)).code

    def _on_command_line(self, name: str, value: str) -> str | None:
        """The value of a variable that the engine's client would heed itself; None for all others."""
        if name not in _CLIENTS and not name.startswith(_FAMILIES):
            return None
        held = {text for source, text in self.ctx.kept.values.items() if source.kind == SECRET}
        if value in held:
            raise NodeError(
                f"env '{name}' is a Secret's value, and a variable that {self.engine.kind} itself heeds: it "
                "could only be put on the command line, where all can read it; name it otherwise"
            )
        return value

    def _prepare(
        self, orders: Path, argv: Sequence[str], image: Image, env: Mapping[str, str | None]
    ) -> None:
        self._own.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.mount()  # again, where it is tried again: what it mounts of Secrets is gone after each time
        self._last_words.touch()
        self._last_words.chmod(0o666)
        for path in self._taken():
            _opened(self.paths.place(path), 0o666)
        write_text(orders, json.dumps(self._orders(argv, image, env)))

    def _taken(self) -> list[str]:
        """Paths of input artifacts that are there and in no volume."""
        artifacts = self.template.artifacts if self.template else ()
        paths = [artifact.path for artifact in artifacts if artifact.path]
        return [p for p in paths if self.paths.mount_of(p) is None and self.paths.place(p).exists()]

    def _left(self) -> list[str]:
        """Paths of outputs that are in no volume."""
        paths = self.template.paths.items() if self.template else ()
        found = [path for tag, path in paths if tag.startswith("outputs.")]
        return [path for path in dict.fromkeys(found) if self.paths.mount_of(path) is None]

    def _binds(self) -> Iterator[Bind]:
        for mount in self.container.mounts:
            path = mount.path.rstrip("/")
            folder = self.paths.folders[path]
            if folder.exists():
                yield Bind(folder, path, mount.read_only or not self._is_shared(mount))
        for path in self._taken():
            yield Bind(self.paths.place(path), path)
        if self.container.source is not None:
            yield Bind(self.folder / "script", SCRIPT, read_only=True)
        yield Bind(self._last_words, self.box.termination)

    def _orders(self, argv: Sequence[str], image: Image, env: Mapping[str, str | None]) -> dict[str, Any]:
        """The guard's orders around the program."""
        told, program = self._own / "told", self.engine.program
        directory = self.container.working_dir
        number = len(self.container.command)
        create = self.engine.create(
            self.box,
            image,
            self.name,
            command=argv[:number],
            args=argv[number:],
            env=env,
            binds=self._binds(),
            working_dir=self.scope.render(directory) if directory else "",
        )
        look = [program, "container", "inspect", "--format", "{{json .State}}", self.name]
        shared = [mount for mount in self.container.mounts if self._is_shared(mount)]
        folders = [self.paths.folders[mount.path.rstrip("/")] for mount in shared]
        opening = self.engine.opening(image, folders)
        copies = [[program, "cp", f"{self.name}:{p}", str(self.paths.place(p))] for p in self._left()]
        remove = [program, "rm", "--force", *(["--time=0"] if self.engine.kind == "podman" else ())]
        return {
            "told": str(told),
            "before": _step(create),
            "after": [_step(look, self._own / "state"), *map(_step, (*copies, *opening))],
            "last": _step([*remove, "--volumes", self.name]),
        }

    def _judged(self, ended: Ended, log: Path, begun: int) -> Ended:
        """How the program ended, which the client's own exit code does not always tell. Raises NodeError."""
        try:
            state = json.loads(_text(self._own / "state"))
        except ValueError:
            return ended  # the engine does not know it any more
        said = _text(log, max(begun, log.stat().st_size - _TAIL))
        name = self.container.command[0] if self.container.command else f"of the image '{self.box.image}'"
        if str(state.get("StartedAt", "")).startswith("0001"):
            reason = _reason(str(state.get("Error") or "") or said)
            if _NOT_THERE.search(reason):
                raise NoProgram(name, reason)
            if ended.timed_out or ended.signal:
                return ended
            raise NodeError(f"{self.engine.kind}: {reason}")
        if ended.timed_out or ended.signal:
            return ended
        if problem := next(filter(_is_problem, _text(self._own / "told").splitlines()), None):
            raise NodeError(f"{self.engine.kind}: its outputs cannot be fetched: {_reason(problem)}")
        code = int(state["ExitCode"]) if state.get("Status") in ("exited", "stopped") else ended.code
        if code in (1, 126, 127) and (found := _FIRST_PROCESS.search(_reason(said))):
            raise NoProgram(name, found[1])
        limit = self.box.memory if "memory" in self.engine.limits else None
        killed = (
            "OOMKilled" if state.get("OOMKilled") else f"its memory limit is {limit:,} bytes" if limit else ""
        )
        return replace(ended, code=code, note=killed if code == 137 else "")


def _is_problem(line: str) -> bool:
    """Whether a line tells of more than that there is no such output, which is the step's to explain."""
    return line.startswith("Error") and not _ABSENT.search(line)


def _step(words: Sequence[str], out: Path | None = None) -> dict[str, Any]:
    return {"words": list(words), "out": str(out) if out else None}


def _text(file: Path, start: int = 0) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(start)
            return opened.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def _opened(path: Path, mode: int) -> None:
    """Let any user use what was put there for a container; folders as well as their files."""
    if path.is_symlink() or not path.exists():
        return
    if path.is_dir():
        for inside in path.iterdir():
            _opened(inside, mode)
        mode |= 0o111
    path.chmod(path.stat().st_mode & 0o111 | mode)
