"""The packages of an image: resolved for its platform, locked with hashes, installed from wheels alone.

uv does the work, because it answers a package's conditions (`sys_platform`, `platform_machine`) for the
image's platform and not for this machine's. `argosy.lock`, which is committed beside the code, has which
versions of which packages images have, with hashes.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from argosy.code.images import BuildError
from argosy.code.images.code import PACKAGES
from argosy.code.images.layers import Blob, File, Layer, make_layer
from argosy.compose.settings import LOCK
from argosy.errors import UsageError
from argosy.manifest.emit import to_yaml
from argosy.step.files import write_text

# glibc 2.28: Debian 10, Ubuntu 20.04, Red Hat 8 and later.
_TARGETS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
_FORMAT = 1  # of a cached layer; another number makes all of them anew
_SECONDS = 900
_MAKING = "making-"
_STALE_SECONDS = 24 * 3600
_FRAME = re.compile("[\u00d7\u2500-\u257f\u25b6]")  # around uv's messages
_LOCK_HEADER = (
    "# The packages of steps in images and pods. Commit it; `argosy build --upgrade` makes it anew.\n"
)


def machines(architecture: str) -> tuple[str, list[str]]:
    """The names of an architecture's machines in those of compiled modules, and of the others."""
    names = {name: target.partition("-")[0] for name, target in _TARGETS.items()}
    own = names.get(architecture, architecture)
    return own, [name for name in names.values() if name != own]


@dataclass(frozen=True)
class Target:
    """The target that packages are resolved for."""

    python: str
    architecture: str
    wheels_only: bool = True

    @property
    def options(self) -> list[str]:
        """uv's options for it."""
        if self.architecture not in _TARGETS:
            known = ", ".join(f"linux/{name}" for name in _TARGETS)
            raise BuildError(
                f"there are no wheels for linux/{self.architecture}; packages can be for {known}"
            )
        return ["--python-platform", _TARGETS[self.architecture], "--python-version", self.python]


def resolve(packages: Sequence[str], target: Target) -> list[str]:
    """The requirements for `packages`, each as `name==version --hash=sha256:...`.

    Raises:
        BuildError: there is no such package, no wheel of it, nothing that fits all, or no hash of it.
    """
    words = ["pip", "compile", "-", *target.options, "--generate-hashes"]
    words += ["--only-binary", ":all:"] if target.wheels_only else []
    words += ["--no-header", "--no-annotate", "--no-config", "--quiet"]
    said = _uv(words, target, "\n".join(packages))
    lines = [" ".join(line.split()) for line in said.replace("\\\n", " ").splitlines() if line.strip()]
    if without := [line for line in lines if " --hash=" not in line]:
        raise BuildError(
            f"'{without[0]}' cannot be locked: it has no hash; name a package of an index, or a wheel by its "
            "address, as in 'NAME @ https://HOST/NAME-1.0-py3-none-any.whl'"
        )
    return lines


def packages_layer(locked: Sequence[str], target: Target) -> Layer:
    """The layer of locked packages; from the cache, if it was made here before."""
    key = hashlib.sha256(json.dumps([_FORMAT, list(locked), str(target)]).encode()).hexdigest()
    kept, noted = cache_folder() / f"{key}.tar.gz", cache_folder() / f"{key}.json"
    if noted.is_file() and kept.is_file():
        note = json.loads(noted.read_text(encoding="utf-8"))
        if kept.stat().st_size == note["size"]:
            return Layer(Blob(note["digest"], note["size"], kept), note["diff_id"], "packages")
    kept.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(kept.parent)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=_MAKING) as folder:
        place = Path(folder) / "packages"
        _install(locked, target, place)
        made = make_layer(_installed(place), "packages", Path(folder) / "layer")
        assert isinstance(made.blob.content, Path)
        made.blob.content.replace(kept)
    note = {"digest": made.blob.digest, "size": made.blob.size, "diff_id": made.diff_id}
    write_text(noted, json.dumps(note))
    return Layer(Blob(made.blob.digest, made.blob.size, kept), made.diff_id, "packages")


def _clear_leftovers(cache: Path) -> None:
    """Remove what builds that were killed left half made; one that is younger than a day may still go on."""
    for folder in cache.glob(f"{_MAKING}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder)


def cache_folder() -> Path:
    """Where layers of packages are kept between builds."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "argosy" / "layers"


def _install(locked: Sequence[str], target: Target, place: Path) -> None:
    listed = place.with_name("requirements.txt")
    listed.write_text("\n".join(locked) + "\n", encoding="utf-8")
    words = ["pip", "install", "--target", str(place), *target.options, "--only-binary", ":all:", "--no-deps"]
    words += ["--require-hashes", "--link-mode", "copy", "--no-config", "--quiet", "-r", str(listed)]
    try:
        _uv(words, target)
    except BuildError as error:
        if not _OTHER.search(str(error)):
            raise
        raise BuildError(
            f"{LOCK} names what the index does not have: {error}; restore {LOCK}, or resolve its packages "
            "anew with --upgrade"
        ) from None


def _installed(place: Path) -> dict[str, File]:
    """The installed files, without what differs from one installation to the next."""
    found = {}
    for file in place.rglob("*"):
        path = file.relative_to(place)
        made_here = file.name in ("uv_cache.json", ".lock", "direct_url.json") or "__pycache__" in path.parts
        if file.is_file() and not made_here:
            program = path.parts[0] == "bin"
            content = _with_any_python(file.read_bytes()) if program else file
            found[f"{PACKAGES}/{path.as_posix()}"] = File(content, program or os.access(file, os.X_OK))
    return found


def _with_any_python(program: bytes) -> bytes:
    """A program whose first line names this machine's Python, with one that the image finds by itself."""
    first, newline, rest = program.partition(b"\n")
    if first.startswith(b"#!") and b"python" in first:
        return b"#!/usr/bin/env python3" + newline + rest
    if first == b"#!/bin/sh" and b"exec" in rest[:200]:  # for a path too long for a first line
        return b"#!/usr/bin/env python3\n" + rest.partition(b"' '''\n")[2]
    return program


def _uv(words: Sequence[str], target: Target, given: str = "") -> str:
    alone = ["--no-index"] if _pip_settings().get("no-index", "") not in ("", "0", "false") else []
    try:
        done = subprocess.run(
            [find_uv(), *words, *alone],
            input=given,
            env={**os.environ, **_index_settings()},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"the packages did not come within {_SECONDS} s") from None
    if done.returncode:
        raise _explained(done.stderr, target)
    return done.stdout


def find_uv() -> str:
    """uv's program; raises UsageError where it is not installed."""
    try:
        from uv import find_uv_bin

        found: str | None = find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise UsageError("packages are found by uv, which is not installed: pip install 'argosy[build]'")
    return found


def _index_settings() -> Mapping[str, str]:
    """uv's settings for the indexes, from pip's where uv has none of its own."""
    pip = _pip_settings()
    pairs = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": pip.get("extra-index-url", ""),
        "UV_FIND_LINKS": pip.get("find-links", ""),
        "SSL_CERT_FILE": pip.get("cert", ""),
    }
    own = any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL"))
    chosen = {k: v for k, v in pairs.items() if v and k not in os.environ and not (own and "INDEX" in k)}
    # uv stops at a folder that is not there, where pip goes on.
    for name in ("UV_INDEX", "UV_FIND_LINKS"):
        if name in chosen:
            words = [w for w in chosen[name].split() if _is_there(w)]
            chosen[name] = (" " if name == "UV_INDEX" else ",").join(words)
    # pip looks into all indexes, where uv by itself stops at the first that has a package of the name.
    if "UV_INDEX" in chosen and "UV_INDEX_STRATEGY" not in os.environ:
        chosen["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {k: v for k, v in chosen.items() if v}


def _is_there(address: str) -> bool:
    local = address.startswith(("/", "file://"))
    return not local or Path(address.removeprefix("file://")).is_dir()


@cache
def _pip_settings() -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name, equals, value = line.partition("=")
        key = name.rpartition(".")[2].strip("'")
        # The environment comes before the files, as with pip.
        if equals and not (key in found and name.startswith("global")):
            found[key] = value.strip("'").replace("\\n", " ")
    return found


def _explained(said: str, target: Target) -> BuildError:
    text = " ".join(_FRAME.sub(" ", said).split()).removeprefix("error: ").partition(" hint: ")[0]
    where = f"linux/{target.architecture} with Python {target.python}"
    lower = text.lower()
    if "no wheels" in lower or "no usable wheels" in lower:
        name = re.search(r"ecause (?:only )?([A-Za-z0-9._-]+)", text)
        who = f"'{name[1].partition('==')[0]}'" if name else "a package"
        return BuildError(
            f"{who} has no wheel for {where}: '--dockerfile DIR' builds it in a container ({text})"
        )
    return BuildError(f"the packages cannot be resolved for {where}: {text}")


_OTHER = re.compile(r"hash mismatch|no version of|was not found|unsatisfiable", re.IGNORECASE)
"""In uv's words: the index has another file, or none, of a version that is locked."""


@dataclass
class Lock:
    """The lock of a project; `frozen` refuses what is not in it, `upgrade` forgets what it is asked for."""

    file: Path
    frozen: bool = False
    upgrade: bool = False

    def packages(self, packages: Sequence[str], target: Target) -> list[str]:
        """The locked form of `packages`; what is new is resolved and written down.

        Raises:
            BuildError: they cannot be resolved, or the lock is frozen and lacks them.
        """
        if not packages:
            return []
        names = sorted(packages)
        key = {
            "packages": names,
            "python": target.python,
            "platform": f"linux/{target.architecture}",
            "wheels": target.wheels_only,
        }
        known = _locked_entry(self._read(), key)
        if known and not self.upgrade:
            return list(known["resolved"])
        if self.frozen:
            raise BuildError(
                f"{self.file} lacks {', '.join(names)} for {key['platform']} with Python {target.python}: "
                "run 'argosy build' without --locked, or 'argosy compile' without --check, and commit it"
            )
        return self._noted(key, resolve(names, target), known)

    def _noted(self, key: dict[str, Any], resolved: list[str], before: dict[str, Any] | None) -> list[str]:
        """Write down what was resolved; what another build resolved of the same meanwhile counts instead."""
        with alone_in(self.file.parent):
            entries = self._read()
            known = _locked_entry(entries, key)
            if known and known != before:
                return list(known["resolved"])
            self._write([*(e for e in entries if e is not known), {**key, "resolved": resolved}])
        return resolved

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, yaml.YAMLError):
            content = 0
        entries = content if isinstance(content, list) else [None]
        if content is not None and not all(isinstance(e, dict) and "resolved" in e for e in entries):
            raise BuildError(
                f"'{self.file}' is not what argosy wrote; restore it, or remove it to make it anew"
            )
        return content or []

    def _write(self, entries: list[dict[str, Any]]) -> None:
        entries.sort(key=lambda e: (e["packages"], e["python"], e["platform"], e["wheels"]))
        write_whole(self.file, _LOCK_HEADER + to_yaml(entries))  # type: ignore[arg-type]


def _locked_entry(entries: Sequence[dict[str, Any]], key: dict[str, Any]) -> dict[str, Any] | None:
    return next((e for e in entries if key.items() <= e.items()), None)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside this block no other command changes what argosy writes into a folder; one that does is awaited.

    The folder itself is locked, so that no file of a lock stays behind; the kernel frees it with the process.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BuildError(f"cannot write into '{folder}': {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_whole(file: Path, text: str) -> None:
    """Write a file as `argosy.step.files.published` does. Raises BuildError."""
    try:
        write_text(file, text)
    except OSError as error:
        raise BuildError(f"cannot write '{file}': {error.strerror}") from None
