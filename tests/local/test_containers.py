"""Steps in containers: what an engine is told, and that nothing is left; no engine is needed for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.errors import ManifestError, UsageError
from argosy.local.box import Box, parse_box
from argosy.local.check import check
from argosy.local.containers import Bind, Containers, Image, Layout, refuse_image
from argosy.local.errors import NodeError, NotMade
from argosy.local.model import Container
from argosy.local.process import Ended, run_process
from tests.local.conftest import manifest

PODMAN = Containers("podman", "/usr/bin/podman")
DOCKER = Containers("docker", "/usr/bin/docker")
IMAGE = Image("sha256:1", "10001:10001")


def box(text: str, pod: str = "{}", volumes: str = "[]") -> Box:
    """The box of a container, written as YAML, in a pod with this security context and these volumes."""
    raw = {"securityContext": yaml.safe_load(pod), "volumes": yaml.safe_load(volumes)}
    return parse_box(yaml.safe_load(text), raw, {})


def told(engine: Containers, text: str, *, image: Image = IMAGE, **more: Any) -> list[str]:
    """The options of the command that makes a container, but those that are always there."""
    words = engine.create(box(text, **more.pop("inside", {})), image, "one", **more)
    always = engine.create(Box(image="x"), image, "one")
    return [word for word in words if word not in always]


def test_a_container_is_made_on_the_machine_s_network_and_never_pulled_for() -> None:
    assert PODMAN.create(Box(image="x"), IMAGE, "one") == [
        "/usr/bin/podman",
        "create",
        "--name=one",
        "--pull=never",
        "--network=host",
        "--log-driver=none",
        "--label=dev.argosy.step=yes",
        "--security-opt=label=disable",
        "--init",
        "--http-proxy=false",
        "sha256:1",
    ]
    assert "--http-proxy=false" not in DOCKER.create(Box(image="x"), IMAGE, "one")


SECURED = """
image: x
securityContext:
  runAsUser: 7
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
resources: {limits: {cpu: 500m, memory: 64Mi, nvidia.com/gpu: 1}}
"""


def test_what_a_manifest_says_of_a_container_reaches_the_engine() -> None:
    common = [
        *("--user=7", "--security-opt=no-new-privileges", "--read-only"),
        *("--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE"),
        *("--cpus=0.500", "--memory=67108864b", "--memory-swap=67108864b"),
    ]
    assert told(DOCKER, SECURED) == common
    assert [word for word in told(PODMAN, SECURED) if word != "--read-only-tmpfs=false"] == common


def test_no_limit_is_asked_of_an_engine_that_has_none() -> None:
    engine = Containers("podman", "/usr/bin/podman", limits=frozenset())
    assert not [word for word in told(engine, SECURED) if "memory" in word or "cpus" in word]


@pytest.mark.parametrize(
    ("own", "pod", "image", "identity"),
    [
        ("{}", "{}", IMAGE, []),
        ("{runAsUser: 7}", "{runAsUser: 8, runAsGroup: 9}", IMAGE, ["--user=7:9"]),
        ("{runAsGroup: 9}", "{}", IMAGE, ["--user=10001:9"]),
        ("{runAsGroup: 9}", "{}", Image("sha256:1"), ["--user=0:9"]),
        ("{}", "{fsGroup: 5, supplementalGroups: [6]}", IMAGE, ["--group-add=6", "--group-add=5"]),
    ],
)
def test_the_user_is_the_container_s_then_the_pod_s_then_the_image_s(
    own: str, pod: str, image: Image, identity: list[str]
) -> None:
    text = f"{{image: x, securityContext: {own}}}"
    assert told(PODMAN, text, image=image, inside={"pod": pod}) == identity


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (
            Containers("podman", "/usr/bin/podman", rootless=True),
            "/usr/bin/podman unshare chmod -R a+rwX /run/v",
        ),
        (
            DOCKER,
            "/usr/bin/docker run --rm --pull=never --network=none --label=dev.argosy.step=yes --user=0 "
            "--security-opt=label=disable --mount=type=bind,source=/run/v,destination=/volumes/0 "
            "--entrypoint=chmod sha256:1 -R a+rwX /volumes/0",
        ),
    ],
)
def test_without_root_what_steps_write_into_volumes_is_opened(
    monkeypatch: pytest.MonkeyPatch, engine: Containers, words: str
) -> None:
    volume = [Path("/run/v")]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert engine.opening(IMAGE, volume) == [words.split(" ")]
    assert engine.opening(IMAGE, []) == PODMAN.opening(IMAGE, volume) == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert engine.opening(IMAGE, volume) == []


@pytest.mark.parametrize(
    ("command", "args", "end"),
    [
        ([], [], ["sha256:1"]),
        ([], ["a"], ["sha256:1", "a"]),
        (["sh", "-c"], ["a"], ["--entrypoint=sh", "sha256:1", "-c", "a"]),
    ],
)
def test_a_command_takes_the_place_of_the_image_s_own(
    command: list[str], args: list[str], end: list[str]
) -> None:
    words = DOCKER.create(Box(image="x"), IMAGE, "one", command=command, args=args)
    assert words[-len(end) :] == end


def test_values_of_variables_are_not_on_the_command_line() -> None:
    words = PODMAN.create(Box(image="x"), IMAGE, "one", env={"TOKEN": None, "HOME": "/tmp"})
    assert [word for word in words if word.startswith("--env")] == ["--env=TOKEN", "--env=HOME=/tmp"]


def test_binds_are_made_from_the_outside_in_whatever_their_names(tmp_path: Path) -> None:
    binds = [Bind(Path("/here/a,b"), "/data/in", read_only=True), Bind(Path("/here/c"), "/data")]
    words = DOCKER.create(Box(image="x"), IMAGE, "one", binds=binds)
    assert [word for word in words if word.startswith("--mount")] == [
        "--mount=type=bind,source=/here/c,destination=/data",
        '--mount=type=bind,"source=/here/a,b",destination=/data/in,readonly',
    ]


@pytest.mark.parametrize(("limit", "size"), [("{}", ""), ("{sizeLimit: 1Gi}", ",size=1073741824")])
def test_shared_memory_is_as_large_as_the_manifest_says(limit: str, size: str) -> None:
    text = "{image: x, volumeMounts: [{name: shm, mountPath: /dev/shm}]}"
    volumes = f"[{{name: shm, emptyDir: {limit}}}]"
    assert told(PODMAN, text, inside={"volumes": volumes}) == [
        f"--tmpfs=/dev/shm:rw,nosuid,nodev,mode=1777{size}"
    ]


@pytest.mark.parametrize(
    ("container", "refusal"),
    [
        ("image: x, securityContext: {privileged: true}", "privileged: a step is not given the machine"),
        ("image: x, securityContext: {procMount: Unmasked}", "procMount"),
        ("image: x, securityContext: {seccompProfile: {type: Localhost, localhostProfile: p}}", "Localhost"),
        ("securityContext: {}", "no image"),
    ],
)
def test_what_an_engine_cannot_be_told_is_refused(container: str, refusal: str) -> None:
    assert any(refusal in line for line in box(f"{{{container}}}").refusals)


def spec(container: str, more: str = "") -> str:
    """A workflow of one step."""
    return f"""
templates:
- {{name: main, steps: [[{{name: a, template: a}}]]}}
- name: a
{more}
  container: {{{container}}}
"""


def test_a_refusal_names_the_template() -> None:
    text = spec("image: x, command: [sh], securityContext: {privileged: true}")
    plan = check(manifest(text), {}, in_images=True)
    with pytest.raises(ManifestError, match=r"template 'a': securityContext\.privileged"):
        PODMAN.prepare(plan.workflow)


def test_limits_that_are_not_held_and_gpus_that_are_not_given_are_said_once() -> None:
    text = spec("image: x, command: [sh], resources: {limits: {cpu: 1, memory: 1Gi, nvidia.com/gpu: 1}}")
    plan, lines = check(manifest(text), {}, in_images=True), list[str]()
    known = {"x": Image("sha256:1")}
    engine = Containers("podman", "/usr/bin/podman", limits=frozenset(), _images=known)
    for _ in range(2):
        engine.prepare(plan.workflow, lines.append)
    assert lines == [
        "podman cannot limit cpu and memory here (no such cgroup): steps run without",
        "no GPU is handed to a container: 'a' runs without",
    ]


def test_a_path_that_is_no_container_s_is_refused() -> None:
    outputs = "  outputs: {parameters: [{name: p, valueFrom: {path: out}}]}"
    plan = check(manifest(spec("image: x, command: [sh]", outputs)), {}, in_images=True, linted=True)
    with pytest.raises(ManifestError, match=r"outputs\.parameters\.p\.path is 'out'"):
        PODMAN.prepare(plan.workflow)


def test_only_a_process_needs_a_command() -> None:
    check(manifest(spec("image: x")), {}, in_images=True)
    with pytest.raises(
        ManifestError, match="template 'a': no command; a process needs it written, the image's own"
    ):
        check(manifest(spec("image: x")), {})


@pytest.mark.parametrize(
    ("user", "context", "refused"),
    [
        ("", "{runAsNonRoot: true}", "runs as root"),
        ("root", "{runAsNonRoot: true}", "runs as root"),
        ("somebody", "{runAsNonRoot: true}", "is a name"),
        ("10001", "{runAsNonRoot: true, runAsUser: 0}", "runs as root"),
        ("10001", "{runAsNonRoot: true}", ""),
        ("", "{runAsNonRoot: true, runAsUser: 7}", ""),
        ("", "{}", ""),
    ],
)
def test_who_must_not_be_root_is_not(user: str, context: str, refused: str) -> None:
    container = Container(("sh",), box=box(f"{{image: x, securityContext: {context}}}"))
    if not refused:
        refuse_image(container, Image("sha256:1", user))
        return
    with pytest.raises(NodeError, match=refused):
        refuse_image(container, Image("sha256:1", user))


def test_an_image_that_runs_nothing_needs_a_command() -> None:
    refuse_image(Container((), args=("sh",), box=Box(image="x")), Image("sha256:1", runs=False))
    with pytest.raises(NodeError, match="no command, and image 'x' has none"):
        refuse_image(Container((), box=Box(image="x")), Image("sha256:1", runs=False))


def test_paths_are_the_manifest_s_own(tmp_path: Path) -> None:
    layout = Layout({"/data": tmp_path / "v", "/data/in": tmp_path / "w"}, tmp_path / "own")
    assert layout.seen("/tmp/out") == layout.rewrite("/tmp/out", False, False) == "/tmp/out"
    assert layout.place("/data/x/y") == tmp_path / "v/x/y"
    assert layout.place("/data/in") == tmp_path / "w"
    assert layout.place("/database") == tmp_path / "own/root/database"


def test_an_engine_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="--runner podman: there is no podman here"):
        Containers.open("podman")


class TestAround:
    """The guard's orders, with files in place of containers."""

    @staticmethod
    def orders(folder: Path, before: str = "touch made") -> Path:
        """Make `made`; afterwards copy it to `fetched`; remove it in any case."""
        steps: dict[str, Any] = {
            "told": str(folder / "told"),
            "before": {"words": ["sh", "-c", before], "out": None},
            "after": [{"words": ["cp", "made", "fetched"], "out": None}],
            "last": {"words": ["rm", "made"], "out": None},
        }
        (folder / "orders").write_text(json.dumps(steps))
        return folder / "orders"

    def run(self, folder: Path, script: str, before: str = "touch made", limit: float | None = None) -> Ended:
        """Run a script with these orders around it."""
        return asyncio.run(
            run_process(
                ["sh", "-c", script],
                cwd=folder,
                env=dict(os.environ),
                log=folder / "log",
                capture=False,
                limit=limit,
                around=self.orders(folder, before),
            )
        )

    def test_all_is_done_in_order(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path, "echo written > made; exit 3")
        assert ended.code == 3
        assert (tmp_path / "fetched").read_text() == "written\n"
        assert not (tmp_path / "made").exists()

    def test_what_cannot_be_made_is_told_and_removed(self, tmp_path: Path) -> None:
        with pytest.raises(NotMade):
            self.run(tmp_path, "touch began", before="touch made; echo why >&2; exit 125")
        assert (tmp_path / "told").read_text() == "why\n"
        assert {file.name for file in tmp_path.iterdir()} == {"told", "orders", "log"}

    def test_what_runs_too_long_is_stopped_fetched_and_removed(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path, "exec sleep 60", limit=0.3)
        assert (ended.timed_out, ended.code) == (True, 143)
        assert (tmp_path / "fetched").exists() and not (tmp_path / "made").exists()

    def test_what_takes_too_long_to_make_is_stopped_and_removed(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path, "touch began", before="touch made; exec sleep 60", limit=0.5)
        assert ended.timed_out and ended.signal == signal.SIGTERM
        assert not (tmp_path / "made").exists() and not (tmp_path / "began").exists()

    def test_the_death_of_the_runner_removes_what_was_made(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from tests.local.test_containers import TestAround; "
            "TestAround().run(Path(sys.argv[1]), 'exec sleep 60')"
        )
        runner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
        _until(lambda: (tmp_path / "made").exists())
        runner.kill()
        runner.wait()
        _until(lambda: not (tmp_path / "made").exists())


def _until(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
