"""`argosy build` after a change of code: how long it takes, how much it sends, what a cold one costs."""

import gzip
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import REPEATS, Result, processor_seconds

ARGOSY = Path(sys.executable).with_name("argosy")
_STEP = '''
from argosy import component, pipeline
import tables

@component(image="{base}")
def work(text: str = "") -> None:
    """Work."""

@pipeline()
def job() -> None:
    """Work once."""
    work()
'''
_BASE = """
import json, sys
from argosy.code.images.image import CONFIG, MANIFEST
from argosy.code.images.layers import Blob, File, make_layer
from argosy.code.images.reference import Reference
from argosy.code.images.registry import Registry
image = Reference.parse(sys.argv[1])
layer = make_layer({"etc/os-release": File(b"ID=bench\\n")}, "base")
settings = {"Env": ["PYTHON_VERSION=3.11.9"]}
config = Blob.of(json.dumps({"os": "linux", "architecture": "amd64", "config": settings,
                             "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}).encode())
registry = Registry(image.host)
for blob in (layer.blob, config):
    registry.upload(image, blob)
manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer.descriptor()],
            "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size}}
registry.put_manifest(image, json.dumps(manifest).encode(), MANIFEST)
"""
# A project of ten modules of about 40 KiB each.
_MODULES = 10


def changed_seconds() -> Result:
    """Wall seconds of `argosy build` after one module changed, to a registry on loopback."""
    name = "build_changed_s"
    if not shutil.which("docker-registry"):
        return Result(name, 0.0, "s", note="skipped: no registry")
    with _project() as (folder, host):
        cold, _, _ = _build(folder, host)
        times = []
        used = processor_seconds()
        for number in range(REPEATS):
            _change(folder, number)
            times.append(_build(folder, host)[0])
        used = (processor_seconds() - used) / REPEATS
    note = f"({used:.2f} s of processor time; cold {cold:.2f} s)"
    return Result(name, statistics.median(times), "s", limit=3.0, note=note)


def changed_bytes() -> Result:
    """Bytes that such a build sends, against the compressed size of the file that changed."""
    name = "build_changed_bytes"
    if not shutil.which("docker-registry"):
        return Result(name, 0.0, "bytes", note="skipped: no registry")
    with _project() as (folder, host):
        cold = _build(folder, host)[1]
        sizes = []
        for number in range(REPEATS):
            changed = _change(folder, number)
            sizes.append((_build(folder, host)[1], len(gzip.compress(changed.read_bytes()))))
    sent, compressed = (statistics.median(side) for side in zip(*sizes, strict=True))
    note = f"(cold {cold / 1000:.0f} kB)"
    return Result(name, sent, "bytes", compressed, sent / compressed, 2.0, note)


@contextmanager
def _project() -> Iterator[tuple[Path, str]]:
    """A project, and the host of a registry that holds its base image."""
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as name, registry(Path(name)) as (host, base):
        folder = Path(name) / "project"
        folder.mkdir()
        (folder / "job.py").write_text(_STEP.format(base=base))
        (folder / "tables.py").write_text("".join(f"import table_{n}\n" for n in range(_MODULES)))
        for number in range(_MODULES):
            rows = (f"    {os.urandom(12).hex()!r}: {n},\n" for n in range(1000))
            (folder / f"table_{number}.py").write_text("ROWS = {\n" + "".join(rows) + "}\n")
        yield folder, host


@contextmanager
def registry(folder: Path) -> Iterator[tuple[str, str]]:
    """A registry on loopback that keeps all in a folder: its host, and a small base image that it holds."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{one.getsockname()[1]}"
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": host},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        words = ["docker-registry", "serve", str(folder / "config.json")]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        for _ in range(500):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", int(host.partition(":")[2]))) == 0:
                    break
            time.sleep(0.01)
        base = f"{host}/base/python:3.11"
        subprocess.run([sys.executable, "-c", _BASE, base], check=True)
        yield host, base
    finally:
        process.terminate()
        process.wait()


def _build(folder: Path, host: str) -> tuple[float, int, str]:
    """Seconds, bytes and words of one build."""
    start = time.perf_counter()
    words = [str(ARGOSY), "build", "job.py", "--push", f"{host}/bench/", "--format", "json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, json.loads(done.stdout)[0]["sent"], done.stdout


def _change(folder: Path, number: int) -> Path:
    """Change one line of one module."""
    file = folder / f"table_{number % _MODULES}.py"
    file.write_text(re.sub(r": 7,", f": {7000 + number},", file.read_text(), count=1))
    return file
