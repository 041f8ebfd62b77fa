"""`argosy run --runner podman` and docker, for real, in a small image of this machine's programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import UsageError
from argosy.local import NullReporter, WorkflowResult, run_manifest
from argosy.local.containers import LABEL, Containers
from argosy.local.kept import Kept, Source
from argosy.manifest.emit import to_yaml
from tests.containers.engine import Engine, call
from tests.containers.small_image import SMALL, put_small_image
from tests.local.conftest import log, manifest, node, phases

Run = Callable[..., WorkflowResult]


@dataclass(frozen=True)
class Used:
    """An engine with the small image, and the environment in which it is called."""

    kind: str
    environment: dict[str, str]

    def __call__(self, *words: str) -> str:
        """The standard output of one of its commands."""
        return call([self.kind, *words], self.environment)

    def left(self) -> list[str]:
        """The steps' containers that are there, running or not."""
        label = f"label={LABEL}"
        return self("ps", "--all", "--filter", label, "--format", "{{.Names}} {{.Status}}").splitlines()


@pytest.fixture(scope="module", params=["podman", "docker"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    """An engine that has the small image; podman on a store of its own."""
    folder, environment = tmp_path_factory.mktemp("engine"), dict(os.environ)
    with ExitStack() as at_the_end:
        if request.param == "podman":
            if shutil.which("podman") is None:
                pytest.skip("skipped: no podman")
            own = Engine.start(folder / "store", environment)
            at_the_end.callback(own.remove)
            used = Used("podman", own.environment)
        else:
            answers = ["docker", "info"]
            if not shutil.which("docker") or subprocess.run(answers, capture_output=True).returncode:
                pytest.skip("skipped: no docker that answers")
            used = Used("docker", environment)
            at_the_end.callback(lambda: used("rmi", "--force", SMALL))
        put_small_image(used, folder)
        yield used


@pytest.fixture
def run(engine: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the text of a `spec`, in which IMAGE is the small image."""
    for name in engine.environment.keys() & {"CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"}:
        monkeypatch.setenv(name, engine.environment[name])

    def start(spec: str, **given: Any) -> WorkflowResult:
        given.setdefault("environment", {})
        return run_manifest(
            manifest(spec.replace("IMAGE", SMALL)),
            parameters={},
            run_dir=tmp_path / "run",
            reporter=NullReporter(),
            containers=Containers.open(engine.kind),
            **given,
        )

    return start


def test_a_step_has_the_user_the_paths_and_the_volumes_of_its_manifest(run: Run, engine: Used) -> None:
    result = run(
        """
volumeClaimTemplates: [{metadata: {name: shared}, spec: {resources: {requests: {storage: 1Mi}}}}]
templates:
- name: main
  steps:
  - - {name: write, template: write}
  - - name: read
      template: read
      arguments:
        parameters: [{name: num, value: "{{steps.write.outputs.parameters.num}}"}]
        artifacts: [{name: text, from: "{{steps.write.outputs.artifacts.text}}"}]
- name: write
  outputs:
    parameters: [{name: num, valueFrom: {path: /var/deep/num}}, {name: held, valueFrom: {path: /v/held}}]
    artifacts: [{name: text, path: /tmp/text}, {name: folder, path: /tmp/folder}]
  volumes: [{name: v, emptyDir: {}}]
  container:
    image: IMAGE
    command: [sh, -c]
    args:
    - 'mkdir /tmp/folder; echo in > /tmp/folder/x; echo moved > {{outputs.artifacts.text.path}};
      echo 42 > /claim/f; echo kept > /v/held; echo deep > /var/deep/num;
      id; echo "$A"; echo "{{outputs.artifacts.text.path}}"'
    env: [{name: A, value: "of two\\nlines"}]
    workingDir: /tmp
    securityContext: {runAsUser: 10001, runAsGroup: 7, runAsNonRoot: true, capabilities: {drop: [ALL]}}
    volumeMounts:
    - {name: v, mountPath: /v}
    - {name: v, mountPath: /var/deep, subPath: deep}
    - {name: shared, mountPath: /claim}
- name: read
  inputs: {parameters: [{name: num}], artifacts: [{name: text, path: /in/here/text}]}
  container:
    image: IMAGE
    command: [sh, -c]
    args:
    - 'cat /in/here/text /claim/f; echo more >> /in/here/text; echo {{inputs.parameters.num}};
      echo x > /tmp/x'
    securityContext: {readOnlyRootFilesystem: true, runAsUser: 10001}
    volumeMounts: [{name: shared, mountPath: /claim}]
"""
    )
    assert phases(result) == {"write": "Succeeded", "read": "Failed"}
    assert dict(node(result, "write").outputs.parameters) == {"num": "deep", "held": "kept"}
    assert log(result, "write").splitlines() == [
        "uid=10001 gid=7 groups=7",
        "of two",
        "lines",
        "/tmp/text",
    ]
    made = node(result, "write").outputs.artifacts
    assert (result.run_dir / made["folder"] / "x").read_text() == "in\n"
    read = log(result, "read")  # docker hands the two streams on one by one
    said = [line for line in read.splitlines() if "Read-only" not in line]
    assert said == ["moved", "42", "deep"] and "Read-only file system" in read
    assert engine.left() == []
    shutil.rmtree(result.run_dir)  # whoever wrote what is in it


def test_scripts_results_and_retries(run: Run) -> None:
    result = run("""
templates:
- name: main
  steps:
  - - {name: say, template: say}
  - - name: hear
      template: echo
      arguments: {parameters: [{name: m, value: "{{steps.say.outputs.result}}"}]}
- name: say
  retryStrategy: {limit: 2}
  script:
    image: IMAGE
    command: [sh]
    source: 'test {{retries}} = 1 || exit 4; echo "from $0"'
- name: echo
  inputs: {parameters: [{name: m}]}
  container: {image: IMAGE, command: [echo, "{{inputs.parameters.m}}"]}
""")
    assert phases(result) == {"say": "Succeeded", "hear": "Succeeded"}
    assert [attempt.exit_code for attempt in node(result, "say").attempts] == [4, 0]
    assert log(result, "hear") == "from /argo/staging/script\n"


@pytest.mark.parametrize(
    ("container", "phase", "code", "message"),
    [
        (
            "command: [sh, -c, 'echo because > /dev/termination-log; exit 3']",
            "Failed",
            3,
            "exit code 3: because",
        ),
        ("command: [nope]", "Failed", 64, "exit code 64: the program 'nope' cannot be started"),
        ("command: [/etc]", "Failed", 64, "exit code 64: the program '/etc' cannot be started"),
        ("command: ['true']", "Error", 0, "output parameter 'p' was not written: no file /tmp/p"),
        ("command: [sh, -c, 'kill -9 $$$$']", "Failed", 137, "exit code 137 (SIGKILL)"),
    ],
)
def test_how_a_program_fails_is_told_as_in_a_cluster(
    run: Run, engine: Used, container: str, phase: str, code: int, message: str
) -> None:
    if code == 137 and not Containers.open(engine.kind).init:
        pytest.skip("skipped: no catatonit, without which a container's first process cannot kill itself")
    outputs = "outputs: {parameters: [{name: p, valueFrom: {path: /tmp/p}}]}"
    step = f"{{name: a, {outputs}, container: {{image: IMAGE, {container}}}}}"
    found = node(run(f"templates: [{{name: main, steps: [[{{name: a, template: a}}]]}}, {step}]"), "a")
    assert (found.phase.value, found.exit_code) == (phase, code)
    assert found.message.startswith(message)
    assert engine.left() == []


def test_a_program_that_takes_too_much_memory_is_killed(run: Run, engine: Used) -> None:
    if "memory" not in Containers.open(engine.kind).limits:
        pytest.skip("no cgroup limits memory here")
    result = run("""
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- name: a
  container:
    image: IMAGE
    command: [sh, -c, 'x=xxxxxxxxxxxxxxxx; while true; do x=$x$x; done']
    resources: {limits: {memory: 16Mi}}
""")
    assert node(result, "a").exit_code == 137


def test_one_that_runs_too_long_is_stopped_and_removed(run: Run, engine: Used) -> None:
    result = run("""
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- {name: a, activeDeadlineSeconds: 2, container: {image: IMAGE, command: [sleep, '600']}}
""")
    assert node(result, "a").message == "ran longer than 2 s and was stopped"
    assert engine.left() == []


def test_secrets_reach_the_step_and_nobody_else(run: Run, tmp_path: Path) -> None:
    secret, value = Source("secret", "keys", "token"), "only-the-step-knows"
    result = run(
        """
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- name: a
  volumes: [{name: s, secret: {secretName: keys}}]
  container:
    image: IMAGE
    command: [sh, -c, 'test "$TOKEN" = "$(cat /keys/token)" && echo same; echo x > /keys/token']
    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}]
    securityContext: {runAsUser: 10001}
    volumeMounts: [{name: s, mountPath: /keys}]
""",
        kept=Kept({secret: value}),
    )
    assert "same" in log(result, "a").splitlines() and "Read-only" in log(result, "a")
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert files and not [file for file in files if value in file.read_text(errors="replace")]


def test_a_secret_that_the_engine_would_heed_is_refused(run: Run) -> None:
    result = run(
        """
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- name: a
  container:
    image: IMAGE
    command: ['true']
    env: [{name: DOCKER_HOST, valueFrom: {secretKeyRef: {name: keys, key: token}}}]
""",
        kept=Kept({Source("secret", "keys", "token"): "tcp://user:word@host"}),
    )
    message = node(result, "a").message
    assert "env 'DOCKER_HOST' is a Secret's value" in message and "word" not in message


def test_containers_beside_the_step_share_its_volumes_and_end_with_it(run: Run, engine: Used) -> None:
    result = run("""
templates:
- name: main
  steps: [[{name: server, template: server}], [{name: a, template: a}]]
- name: server
  daemon: true
  container:
    image: IMAGE
    command: [sh, -c, 'sleep 0.5; touch /tmp/ready; sleep 600']
    readinessProbe: {exec: {command: [ls, /tmp/ready]}}
- name: a
  volumes: [{name: v, emptyDir: {}}]
  initContainers:
  - {name: first, image: IMAGE, command: [sh, -c, 'echo one > /v/f'], mirrorVolumeMounts: true}
  sidecars:
  - {name: side, image: IMAGE, command: [sh, -c, 'touch /v/up; sleep 600'], mirrorVolumeMounts: true}
  container:
    image: IMAGE
    command: [sh, -c, 'until test -e /v/up; do sleep 0.05; done; cat /v/f']
    volumeMounts: [{name: v, mountPath: /v}]
""")
    assert phases(result) == {"server": "Succeeded", "a": "Succeeded"}
    assert log(result, "a") == "one\n"
    assert engine.left() == []


def test_a_set_s_containers_have_images_of_their_own(run: Run, engine: Used) -> None:
    result = run(
        """
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- name: a
  outputs: {parameters: [{name: p, valueFrom: {path: /tmp/p}}]}
  volumes: [{name: v, emptyDir: {}}, {name: s, secret: {secretName: keys}}]
  containerSet:
    volumeMounts: [{name: v, mountPath: /v}]
    retryStrategy: {retries: 2}
    containers:
    - {name: first, image: IMAGE, command: [sh, -c, 'echo one > /v/f']}
    - name: main
      image: IMAGE
      dependencies: [first]
      command: [sh, -c, 'cat /keys/token; cat /v/f > /tmp/p; test -e /v/again || { touch /v/again; exit 5; }']
      volumeMounts: [{name: s, mountPath: /keys}]
""",
        kept=Kept({Source("secret", "keys", "token"): "t"}),
    )
    assert phases(result) == {"a": "Succeeded", "a.first": "Succeeded", "a.main": "Succeeded"}
    assert dict(node(result, "a").outputs.parameters) == {"p": "one"}
    assert log(result, "a.main") == "tt"
    assert engine.left() == []


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("localhost/nowhere:1, imagePullPolicy: Never", "is not here, and imagePullPolicy is Never"),
        ("127.0.0.1:9/nowhere:1", "is not here and cannot be pulled: .*127.0.0.1:9"),
        ("IMAGE", "no command, and image 'localhost/small:1' has none"),
    ],
)
def test_an_image_that_cannot_be_used_is_refused_before_the_start(
    run: Run, tmp_path: Path, image: str, reason: str
) -> None:
    command = "" if image == "IMAGE" else ", command: ['true']"
    with pytest.raises(UsageError, match=f"template 'a': .*{reason}"):
        run(
            "templates: [{name: main, steps: [[{name: a, template: a}]]}, "
            f"{{name: a, container: {{image: {image}{command}}}}}]"
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_container_outlives_argosy(engine: Used, tmp_path: Path, number: signal.Signals) -> None:
    spec = "templates: [{name: main, container: {image: 'localhost/small:1', command: [sleep, '600']}}]"
    (tmp_path / "w.yaml").write_text(to_yaml(manifest(spec)))
    words = [sys.executable, "-m", "argosy", "run", "w.yaml", "--runner", engine.kind, "--output", "json"]
    runner = subprocess.Popen(
        words, cwd=tmp_path, env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    _until(lambda: any(" Up " in line for line in engine.left()))
    runner.send_signal(number)
    said, _ = runner.communicate()
    _until(lambda: engine.left() == [])
    if number == signal.SIGINT:
        assert json.loads(said)["phase"] == "Failed"


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
