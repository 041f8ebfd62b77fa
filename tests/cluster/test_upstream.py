"""Programs that were written for a newer Couler than the installed one, and numbers as Python has them."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import argosy
from argosy.lint import lint_manifest
from tests.cluster.conftest import Run

DIAMOND = """
import couler.argo as couler
from couler.argo_submitter import ArgoSubmitter

def job(name):
    couler.run_container(image="alpine:3.20", command=["echo"], args=[name], step_name=name)

def bye():
    return couler.run_container(image="alpine:3.20", command=["date"], step_name="bye")

couler.dag([
    [lambda: job("A")],
    [lambda: job("A"), lambda: job("B")],
    [lambda: job("A"), lambda: job("C")],
    [lambda: job("B"), lambda: job("D")],
    [lambda: job("C"), lambda: job("D")],
])
couler.set_exit_handler(couler.WFStatus.Failed, bye)
print(couler.run(submitter=ArgoSubmitter(namespace="argo"))["metadata"]["name"])
"""
DEPENDS = """
import couler.argo as couler

def job(name):
    return couler.run_container(image="alpine:3.20", command=["true"], step_name=name)

couler.config_workflow(timeout=3600, time_to_clean=3600 * 1.5)
couler.set_dependencies(lambda: job("A"), dependencies=None)
couler.set_dependencies(lambda: job("B"), dependencies="A")
couler.set_dependencies(lambda: job("C"), dependencies="A && (B.Succeeded || B.Failed)")
couler.run()
"""
TWO_SUBMITTERS = """
import os
import couler.argo as couler
from couler.argo_submitter import _SUBMITTER_IMPL_ENV_VAR_KEY, ArgoSubmitter, _SubmitterImplTypes

def flip():
    def code():
        import random
        print("heads" if random.random() < 0.5 else "tails")
    return couler.run_script(image="python:3.11-slim", source=code)

for kind in (_SubmitterImplTypes.GO, _SubmitterImplTypes.PYTHON):
    os.environ[_SUBMITTER_IMPL_ENV_VAR_KEY] = kind
    couler.config_workflow(name="flip-%s" % kind.lower(), time_to_clean=3600 * 1.1)
    couler.when(
        couler.equal(flip(), "heads"),
        lambda: couler.run_container(image="alpine:3.20", command=["date"]),
    )
    couler.states.workflow.set_security_context({"runAsNonRoot": True})
    couler.run(submitter=ArgoSubmitter(namespace="argo"))
"""
CACHE = """
import couler.argo as couler
kept = couler.Cache(name="c", key="k", max_age="60s")
couler.run_container(image="alpine:3.20", command=["date"], cache=kept)
couler.run()
"""
TOLERATION = """
import couler.argo as couler
from couler.core.templates.toleration import Toleration

def job(name):
    couler.add_toleration(Toleration(key="pool", operator="Exists", effect="NoSchedule"))
    couler.run_container(
        image="alpine:3.20", command=["date"], step_name=name, node_selector={"pool": "gpu"}
    )

couler.set_dependencies(lambda: job("A"), dependencies=None)
couler.set_dependencies(lambda: job("B"), dependencies=["A"])
couler.run()
"""
DNS = """
import couler.argo as couler
from couler.core.templates.dns import DnsConfig, DnsConfigOption
from couler.core.templates.image_pull_secret import ImagePullSecret

couler.set_dns("None", DnsConfig(nameservers=["1.2.3.4"], options=[DnsConfigOption("ndots", 2)]))
couler.add_image_pull_secret(ImagePullSecret("registry"))
couler.run_container(image="alpine:3.20", command=["date"], step_name="only")
couler.run()
couler.run_container(image="alpine:3.20", command=["date"], step_name="next")
couler.run()
"""
DEFAULT = """
import couler.argo as couler
from couler.argo_submitter import ArgoSubmitter

couler.set_default_submitter(ArgoSubmitter(namespace="mine"))
couler.run_container(image="alpine:3.20", command=["date"])
couler.run()
couler.run_container(image="alpine:3.20", command=["date"])
couler.run(ArgoSubmitter(namespace="other"))
"""
SECRET = """
import couler.argo as couler
secret = couler.obtain_secret(["TOKEN"], name="mine")
couler.run_container(image="alpine:3.20", command=["env"], secret=secret)
"""
TRAINING = """
import couler.argo as couler
from couler.steps import mpi, pytorch, tensorflow

secret = couler.obtain_secret(["TOKEN"], name="mine")
mpi.train(image="train:1", command=["sh", "-c", "exit 0"], num_workers=1)
pytorch.train(image="train:1", command="train", num_workers=2, worker_resources="cpu=1,gpu=1", secret=secret)
tensorflow.train(image="train:1", num_ps=1, num_workers=2, no_chief=False, chief_command=["lead"])
"""
NUMBERS = """
import couler.argo as couler
couler.config_workflow(time_to_clean=0.4, timeout=90.6)
couler.run_container(
    image="alpine:3.20", command=["env"], args=[1.5, 2], timeout=60.0,
    env={"N": 5, "B": True, "F": 1.5}, node_selector={"zone": 1}, step_name="env",
)
"""
SIDE_BY_SIDE = """
import couler.argo as couler

def say(word, times):
    return couler.run_container(image="alpine:3.20", command=["echo"], args=[word, times], step_name="say")

couler.map(lambda word, times: say(word, times), ["a", "b"], [1, 2])
"""
PROGRAMS = {
    "several lists": SIDE_BY_SIDE,
    "a diamond": DIAMOND,
    "depends as an expression": DEPENDS,
    "two submitters": TWO_SUBMITTERS,
    "a cache": CACHE,
    "tolerations": TOLERATION,
    "dns and a pull secret": DNS,
    "a default submitter": DEFAULT,
    "a secret that is there": SECRET,
    "training jobs": TRAINING,
    "numbers": NUMBERS,
}


def composed(couler: Run, program: str) -> list[dict[str, Any]]:
    Path("flow_program.py").write_text(program, encoding="utf-8")
    result = couler("run", "flow_program.py", "--dry-run")
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def templates(manifest: dict[str, Any]) -> dict[str, Any]:
    return {t["name"]: t for t in manifest["spec"]["templates"]}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_compiles_to_what_argo_takes(couler: Run, name: str) -> None:
    for manifest in composed(couler, PROGRAMS[name]):
        assert not [v for v in lint_manifest(manifest) if v.is_error]


def test_tolerations_are_the_workflow_s_each_once(couler: Run) -> None:
    (manifest,) = composed(couler, TOLERATION)
    assert manifest["spec"]["tolerations"] == [{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}]
    assert templates(manifest)["A"]["nodeSelector"] == {"pool": "gpu"}


def test_name_servers_and_pull_secrets_end_with_their_workflow(couler: Run) -> None:
    first, second = (m["spec"] for m in composed(couler, DNS))
    assert first["dnsPolicy"] == "None" and first["imagePullSecrets"] == [{"name": "registry"}]
    assert first["dnsConfig"] == {"nameservers": ["1.2.3.4"], "options": [{"name": "ndots", "value": "2"}]}
    assert not {"dnsPolicy", "dnsConfig", "imagePullSecrets"} & second.keys()


def test_several_lists_are_walked_side_by_side(couler: Run) -> None:
    (manifest,) = composed(couler, SIDE_BY_SIDE)
    (task,) = templates(manifest)["main"]["dag"]["tasks"]
    assert task["withItems"] == [{"v0": "a", "v1": 1}, {"v0": "b", "v1": 2}]
    values = [p["value"] for p in task["arguments"]["parameters"]]
    assert values == ["{{item.v0}}", "{{item.v1}}"]


def test_a_default_submitter_is_used_and_ends_with_the_program(couler: Run) -> None:
    assert [m["metadata"]["namespace"] for m in composed(couler, DEFAULT)] == ["mine", "other"]
    (after,) = composed(couler, CACHE)
    assert "namespace" not in after["metadata"]


def test_a_secret_that_is_there_is_read_and_not_made(couler: Run) -> None:
    Path("flow_program.py").write_text(SECRET, encoding="utf-8")
    result = couler("run", "flow_program.py", "--dry-run")
    assert "would be created" not in result.output
    manifest = yaml.safe_load(result.stdout)
    (step,) = [t for t in manifest["spec"]["templates"] if "container" in t]
    reference = {"secretKeyRef": {"name": "mine", "key": "TOKEN"}}
    assert step["container"]["env"] == [{"name": "TOKEN", "valueFrom": reference}]


def test_training_is_a_job_that_the_step_waits_for(couler: Run) -> None:
    (manifest,) = composed(couler, TRAINING)
    resource = templates(manifest)["pytorch-train"]["resource"]
    assert resource["successCondition"] == "status.replicaStatuses.Worker.succeeded == 2"
    job = yaml.safe_load(resource["manifest"])
    assert (job["kind"], job["metadata"]) == ("PyTorchJob", {"generateName": "pytorch-train-"})
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    (container,) = worker["template"]["spec"]["containers"]
    assert worker["replicas"] == 2 and container["command"] == ["train"]
    assert container["resources"] == {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}}
    roles = yaml.safe_load(templates(manifest)["tensorflow-train"]["resource"]["manifest"])
    assert set(roles["spec"]["tfReplicaSpecs"]) == {"Chief", "PS", "Worker"}


def test_numbers_become_what_argo_takes(couler: Run) -> None:
    (manifest,) = composed(couler, NUMBERS)
    spec, step = manifest["spec"], templates(manifest)["env"]
    assert spec["ttlStrategy"] == {"secondsAfterCompletion": 1} and spec["activeDeadlineSeconds"] == 91
    assert step["activeDeadlineSeconds"] == 60 and step["nodeSelector"] == {"zone": "1"}
    variables = {"N": "5", "B": "True", "F": "1.5"}
    assert step["container"]["env"] == [{"name": n, "value": v} for n, v in variables.items()]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("couler.fan_out(print)", "fan_out; loop with couler.map"),
        ("from couler.steps import katib\nkatib.run(raw_template='')", r"katib; give .* to couler.run_job"),
        ("couler.obtain_secret(['A'])", "wants the keys and the name of a Secret"),
        ("from couler.steps import mpi\nmpi.train(num_workers=1)", "the Launcher of a MPIJob needs an image"),
        ("from couler.steps import mpi\nmpi.train(image='a', workers=1)", "has no argument 'workers'"),
        (
            "from couler.steps import tensorflow as t\nt.train(image='a')",
            "trains nothing; give num_",
        ),
        ("from couler.steps import mpi\nmpi.train(image='a', secret='x')", "there is no Secret 'x'"),
        (
            "from couler.steps import mpi\nmpi.train(image='a', launcher_resources='cpu')",
            "not of the form 'cpu=1,memory=1Gi'",
        ),
        (
            "from couler.steps import mpi\nmpi.train(image='a', launcher_resources={'ram': 1})",
            "has no resource 'ram'; one of gpu, disk, cpu, memory",
        ),
    ],
)
def test_a_mistake_is_one_line_on_the_programs_line(couler: Run, program: str, message: str) -> None:
    Path("flow_program.py").write_text("import couler.argo as couler\n" + program, encoding="utf-8")
    result = couler("run", "flow_program.py", "--dry-run")
    line = program.count("\n") + 2
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"couler: flow_program.py:{line}: ")
    assert re.search(message, result.stderr)


def test_what_couler_says_of_the_workflow_is_in_a_pipeline_too() -> None:
    import couler.argo as couler

    from argosy.compose.upstream import import_couler

    import_couler()
    toleration = importlib.import_module("couler.core.templates.toleration").Toleration

    @argosy.pipeline()
    def flow() -> None:
        couler.add_toleration(toleration("pool", "NoSchedule", "Exists"))
        couler.config_workflow(timeout=5400.0)
        couler.run_container(image="alpine:3.20", command=["date"], step_name="only")

    spec = argosy.compile(flow)["spec"]
    assert spec["tolerations"][0]["key"] == "pool" and spec["activeDeadlineSeconds"] == 5400


@pytest.mark.parametrize("command", [["argosy", "compile"], ["couler", "run", "--dry-run"]])
def test_an_empty_package_of_coulers_name_is_one_line(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "elsewhere" / "couler").mkdir(parents=True)
    empty = tmp_path / "elsewhere" / "couler" / "__init__.py"
    empty.touch()
    (tmp_path / "flow.py").write_text(DIAMOND)
    program = str(Path(sys.executable).with_name(command[0]))
    environment = {**os.environ, "PYTHONPATH": str(empty.parent.parent)}
    done = subprocess.run(
        [program, *command[1:], "flow.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"{command[0]}: '{empty}' has no 'couler.argo': the package 'couler' there")
    assert "pip install --force-reinstall couler-scanflow" in done.stderr


IMPORTS_AT_THE_TOP = """
import random
import couler.argo as couler

def code():
    print("heads" if random.randint(0, 1) else "tails")

def flip():
    return couler.run_script(image="python:3.11-slim", source=code)

couler.when(couler.equal(flip(), "heads"), lambda: couler.run_container(image="a:1", command=["date"]))
couler.run()
"""


def test_a_script_imports_what_the_program_imports_at_its_top(couler: Run) -> None:
    (manifest,) = composed(couler, IMPORTS_AT_THE_TOP)
    source = templates(manifest)["flip"]["script"]["source"]
    assert source.startswith("import random\n\nprint(")
    assert not [v for v in lint_manifest(manifest) if v.is_error]


def test_what_couler_has_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import couler.argo as couler

    from argosy.compose.upstream import complete_couler

    own = object()
    monkeypatch.setattr(couler, "add_toleration", own, raising=False)
    monkeypatch.setitem(sys.modules, "couler.steps.mpi", own)  # type: ignore[arg-type]
    to_dict = type(couler.workflow).to_dict
    complete_couler()
    complete_couler()
    assert couler.add_toleration is own and sys.modules["couler.steps.mpi"] is own
    assert type(couler.workflow).to_dict is to_dict


@pytest.mark.parametrize(
    "way", ["import couler.argo", "from argosy.compose.upstream import import_couler as f; f()"]
)
def test_couler_knows_the_file_that_runs_however_it_is_imported(tmp_path: Path, way: str) -> None:
    told = "print(couler.core.states.workflow_filename, inspect.stack.__module__)"
    (tmp_path / "imports.py").write_text(way)
    (tmp_path / "a_flow.py").write_text(f"import inspect, imports, couler.core.states, couler.argo\n{told}\n")
    done = subprocess.run(
        [sys.executable, "a_flow.py"], cwd=tmp_path, stdout=subprocess.PIPE, check=True, text=True
    )
    assert done.stdout.splitlines()[0] == "a-flow inspect"
