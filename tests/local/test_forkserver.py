"""A step that is forked from a process which has the SDK imported is the step that a plain start makes."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from argosy.local import Node, WorkflowResult, standbys
from argosy.local.stacks import StepImports
from argosy.stack.kind import STEP_IMPORTS
from tests.local.conftest import Run, log, node, runner
from tests.local.seen import SEEN
from tests.local.test_container import marked
from tests.local.test_resume import wait_until_gone

STEP = '''
import json, os, signal, sys, threading, time
from argosy import component
from told import seen

# What passes the orders on, and what the guard asks the kernel with.
SERVERS = {"_ctypes", "_socket", "array", "ctypes", "ctypes._endian", "select", "selectors", "socket"}


@component(image="x")
def act(how: str, word: str = "") -> None:
    """End as it is told."""
    with open(os.environ["USED"], "a") as file:
        file.write("forked\\n" if "forks.py" in open("/proc/self/cmdline").read() else "plain\\n")
    if how == "show":
        modules, threads = sorted(set(sys.modules) - SERVERS), threading.active_count()
        locale = time.strftime("%c", time.gmtime(0))
        print(json.dumps({**seen(), "modules": modules, "threads": threads, "locale": locale}, indent=1))
    elif how == "print":
        print("on standard output", word)
        print("on standard error", file=sys.stderr)
        os.system("echo of a child")
    elif how == "size":
        print(len(word))
    elif how == "raise":
        raise ValueError(word)
    elif how == "code":
        sys.exit(3)
    elif how == "interrupt":
        signal.raise_signal(signal.SIGINT)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "kill the server":
        server = next(int(line.split()[1]) for line in open(f"/proc/{os.getppid()}/status") if "PPid" in line)
        os.kill(server, signal.SIGKILL)
        time.sleep(600)
    elif how == "stay":
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
    elif how == "sleep":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
        print("sleeps", flush=True)
        time.sleep(600)
'''

SPEC = """
templates:
- name: main
  steps: [[{name: first, template: act}], [{name: second, template: act}]]
- name: act
  %s
  container:
    image: x
    command: [python, -m, argosy.step, "stepped:act"]
    args: %s
    env: %s
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of a run: where the module is, and where it leaves word."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "stepped.py").write_text(STEP)
    (tmp_path / "lib" / "told.py").write_text(SEEN)
    mark = str(tmp_path)
    return {"PYTHONPATH": f"{mark}/lib", "USED": f"{mark}/used", "RUNNER_TEST_MARK": mark, "LANG": "C.UTF-8"}


def spec(how: str, word: str = "", template: str = "", **env: str) -> str:
    """Two steps that end in the same way."""
    variables = [{"name": name, "value": value} for name, value in env.items()]
    return SPEC % (template, json.dumps([f"--how={how}", f"--word={word}"]), json.dumps(variables))


def used(environment: dict[str, str]) -> list[str]:
    """How each step was started."""
    return Path(environment["USED"]).read_text().split()


def both_ways(run: Run, source: str, environment: dict[str, str]) -> tuple[WorkflowResult, WorkflowResult]:
    """Run twice in the same folder: with forks, and plainly."""
    forked = run(source, environment={**environment, "ARGOSY_STANDBY": "1"})
    forked.run_dir.rename(forked.run_dir.with_name("forked"))
    return forked, run(source, environment={**environment, "ARGOSY_STANDBY": "0"})


def told(result: WorkflowResult, name: str, folder: str) -> tuple[list[object], str]:
    """How a step ended, and its log without times."""
    found: Node = node(result, name)
    text = (result.run_dir.with_name(folder) / f"steps/{name}/main.log").read_text()
    text = text.replace('"ARGOSY_STANDBY": "1"', '"ARGOSY_STANDBY": "0"')
    return [found.phase, found.exit_code, found.message], text


@pytest.mark.parametrize("how", ["show", "print", "size", "raise", "code", "interrupt", "kill", "stay"])
def test_it_is_what_a_plain_start_makes(run: Run, environment: dict[str, str], how: str) -> None:
    word = "x" * 100_000 if how == "size" else "zwei Wörter"
    forked, plain = both_ways(run, spec(how, word, "", OWN="a\nb"), environment)
    for name in [n.name for n in plain.nodes if n.log]:
        ended, text = told(forked, name, "forked")
        expected, plainly = told(plain, name, "run")
        assert ended == expected
        if how == "raise":  # its log has a time
            text, plainly = (t.partition(" ERROR ")[2] for t in (text, plainly))
        assert text == plainly and bool(text) == (how not in ("kill", "stay"))
    words = used(environment)
    assert words == ["forked"] * (len(words) // 2) + ["plain"] * (len(words) // 2) and words
    assert marked(environment["RUNNER_TEST_MARK"]) == []


@pytest.mark.parametrize("variable", ["LANG", "PYTHONHASHSEED", "LD_LIBRARY_PATH", "TZ"])
def test_another_variable_that_python_reads_at_its_start(
    run: Run, environment: dict[str, str], variable: str
) -> None:
    assert run(spec("print", **{variable: "0"}), environment=environment).succeeded
    assert used(environment) == ["plain", "plain"]


def test_its_time_runs_out(run: Run, environment: dict[str, str]) -> None:
    result = run(spec("sleep", template="activeDeadlineSeconds: 2"), environment=environment)
    assert node(result, "first").message == "ran longer than 2 s and was stopped"
    assert log(result, "first").splitlines()[-1] == "act: asked to end"
    assert (used(environment), marked(environment["RUNNER_TEST_MARK"])) == (["forked"], [])


def test_a_server_that_dies_ends_its_step_and_the_next_starts_plainly(
    run: Run, environment: dict[str, str]
) -> None:
    source = spec("kill the server").replace("{name: first,", "{name: first, continueOn: {failed: true},")
    source = source.replace("[{name: second, template: act}]", "[{name: second, template: ok}]")
    result = run(source, environment=environment)
    assert (node(result, "first").phase.value, node(result, "first").exit_code) == ("Failed", 137)
    assert node(result, "second").phase.value == "Succeeded"
    assert marked(environment["RUNNER_TEST_MARK"]) == []


def test_an_sdk_that_cannot_be_imported_is_the_steps_to_say(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "lib" / "sitecustomize.py").write_text("print('a word')\n")
    forked, plain = both_ways(run, spec("print"), environment)
    assert told(forked, "first", "forked") == told(plain, "first", "run")
    assert set(used(environment)) == {"plain"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_runner_leaves_no_process(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    process = runner(spec("sleep"), tmp_path / "run", environment)
    written = tmp_path / "run/steps/first/main.log"
    while not (written.exists() and "sleeps" in written.read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    process.wait(30)
    wait_until_gone(environment["RUNNER_TEST_MARK"])
    assert marked(environment["RUNNER_TEST_MARK"]) == []
    assert used(environment) == ["forked"]


def test_many_at_once_and_no_zombies_of_the_runner(run: Run, environment: dict[str, str]) -> None:
    source = spec("print").replace("{name: second,", "{name: second, withSequence: {count: '20'},")
    assert run(source, environment=environment).succeeded
    assert used(environment) == ["forked"] * 21
    assert not [p for p in psutil.Process(os.getpid()).children() if p.status() == psutil.STATUS_ZOMBIE]


def test_where_processes_cannot_be_watched_so_steps_start_plainly(
    run: Run, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert run(spec("print"), environment=environment).succeeded
    assert used(environment) == ["plain", "plain"]


def test_a_step_that_began_is_not_begun_again(
    run: Run, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.pidfd_open

    def refuse_others(pid: int) -> int:
        if pid != os.getpid():
            raise OSError(errno.EMFILE, "too many open files")
        return opened(pid)

    monkeypatch.setattr(os, "pidfd_open", refuse_others)
    result = run(spec("sleep"), environment=environment)
    assert node(result, "first").phase.value == "Error"
    assert "cannot be watched, and was stopped" in node(result, "first").message
    wait_until_gone(environment["RUNNER_TEST_MARK"])
    assert marked(environment["RUNNER_TEST_MARK"]) == []
    assert not Path(environment["USED"]).exists() or used(environment) == ["forked"]


@pytest.mark.parametrize("how", ["show", "raise", "kill", "stay"])
def test_forked_from_the_one_that_imports_ahead_it_is_the_same(
    run: Run, environment: dict[str, str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standbys, "step_imports", lambda: StepImports("argosy.step"))
    test_it_is_what_a_plain_start_makes(run, environment, how)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The servers that forked steps, in order: `ahead` or `plain`."""
    used: list[str] = []
    start = standbys.ForkServer._start

    async def noted(self: standbys.ForkServer, order: Any, descriptors: list[int]) -> Any:
        guarded = await start(self, order, descriptors)
        used.extend([(*self._mode, "plain")[0]] if guarded is not None else [])
        return guarded

    monkeypatch.setattr(standbys.ForkServer, "_start", noted)
    return used


PRODUCT = """
templates:
- name: main
  steps: [[{name: first, template: act}], [{name: second, template: act}]]
- name: act
  container:
    image: x
    command: [python, -m, argosy.components.deployment.determine_version]
    args: [--model-version=1, --model-sha256=x, --owner=o, --s3-bucket=b]
    env: [{name: %s, value: x}]
"""


@pytest.mark.parametrize(
    ("variable", "server"), [("ARGOSY_OF_ITS_OWN", "ahead"), ("NPY_DISABLE_CPU_FEATURES", "plain")]
)
def test_a_step_of_the_product_finds_its_imports_made_where_they_would_be_the_same(
    run: Run, environment: dict[str, str], servers: list[str], variable: str, server: str
) -> None:
    environment |= {"AWS_ENDPOINT_URL_S3": "no address"}
    source = PRODUCT % variable
    forked, plain = both_ways(
        run, source.replace("{name: first,", "{name: first, continueOn: {failed: true},"), environment
    )
    assert servers == [server, server]
    for name in ("first", "second"):
        ended, text = told(forked, name, "forked")
        expected, plainly = told(plain, name, "run")
        assert ended == expected and ended[1] == 2
        assert [line[20:] for line in text.splitlines()] == [line[20:] for line in plainly.splitlines()]


FLEET = '''
from argosy import component
import shared_one, unshared_one


@component(image="x")
def count(of: str) -> int:
    """Count letters."""
    import sys
    print(shared_one.IN, unshared_one.IN, sorted(name for name in sys.modules if name.endswith("_one")))
    return len(of)


if __name__ == "__main__":
    count.main()
'''


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        (StepImports("fleet", frozenset({"shared_one"})), ["ahead", "ahead"]),
        (StepImports("fleeting"), []),
        (None, []),
    ],
)
def test_another_product_brings_what_its_steps_share(
    run: Run,
    environment: dict[str, str],
    servers: list[str],
    imports: StepImports | None,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Path(environment["PYTHONPATH"])
    (library / "fleet").mkdir()
    (library / "fleet" / "__init__.py").touch()
    (library / "fleet" / "count.py").write_text(FLEET)
    for name in ("shared_one", "unshared_one"):
        (library / f"{name}.py").write_text("import os; IN = os.getpid()\n")
    monkeypatch.setattr(standbys, "step_imports", lambda: imports)
    source = PRODUCT % "ARGOSY_OF_ITS_OWN"
    source = source.replace("argosy.components.deployment.determine_version", "fleet.count")
    source = re.sub(r"args: .*", "args: [--of=abc, --output-result=/dev/stdout]", source)
    result = run(source, environment=environment)
    assert result.succeeded and servers == expected
    shared, unshared = zip(*(log(result, name).split()[:2] for name in ("first", "second")), strict=True)
    assert len(set(shared)) == (1 if expected else 2) and len(set(unshared)) == 2


def test_a_product_whose_package_itself_imports_what_is_not_shared(
    run: Run, environment: dict[str, str], servers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Path(environment["PYTHONPATH"])
    (library / "fleet").mkdir()
    (library / "fleet" / "__init__.py").write_text("import unshared_one\n")
    (library / "fleet" / "count.py").write_text(FLEET)
    for name in ("shared_one", "unshared_one"):
        (library / f"{name}.py").write_text("IN = 1\n")
    monkeypatch.setattr(standbys, "step_imports", lambda: StepImports("fleet", frozenset({"shared_one"})))
    source = PRODUCT % "ARGOSY_OF_ITS_OWN"
    source = source.replace("argosy.components.deployment.determine_version", "fleet.count")
    source = re.sub(r"args: .*", "args: [--of=abc, --output-result=/dev/stdout]", source)
    assert run(source, environment=environment).succeeded
    assert servers == ["plain", "plain"]


def test_something_in_its_folder_might_be_taken_for_a_package(tmp_path: Path) -> None:
    forks, asked = standbys.Forks({"A": "1"}), []

    def server(name: str) -> Any:
        async def start(*_: object, **__: object) -> None:
            asked.append(name)

        return SimpleNamespace(start=start)

    forks._plain, forks._ahead = server("plain"), server("ahead")

    def start(**env: str) -> list[str]:
        asked.clear()
        argv = ["python", "-m", "argosy.components.deployment.fetch_model"]
        asyncio.run(forks.start(argv, cwd=tmp_path, env=env, out=BytesIO()))
        return list(asked)

    assert start(A="1", TMPDIR="/tmp/of-its-own") == ["ahead", "plain"]
    assert start(A="2") == start() == start(A="1", B="1") == ["plain"]
    (tmp_path / "boto3.py").touch()
    assert start(A="1") == ["plain"]


AHEAD = """
import json, os, pkgutil, sys
sys.path.insert(0, FOLDER)
import forks
import argosy.components as components
sys.path[0] = "/nowhere"
ahead = forks.Ahead(forks._beside("standby"), PACKAGES)
names = [m.name for m in pkgutil.walk_packages(components.__path__, "argosy.components.") if not m.ispkg]
steps = [name for name in names if name.count(".") == 3 and name.split(".")[2] == "deployment"]
unfit = [name for name in steps if not ahead.take(name, "/nowhere")]
there = {name.partition(".")[0] for name in sys.modules}
threads = len(os.listdir("/proc/self/task"))
sys.stderr.write(json.dumps([steps, unfit, sorted(there), threads, ahead.set]))
"""


def test_what_is_imported_ahead_for_a_deployment(tmp_path: Path) -> None:
    code = AHEAD.replace("FOLDER", repr(str(Path(standbys.__file__).parent)))
    code = code.replace("PACKAGES", repr(sorted(STEP_IMPORTS.packages)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    with (tmp_path / "output").open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, stdout=output, stderr=subprocess.PIPE, check=True
        )
    steps, unfit, there, threads, variables = json.loads(done.stderr)
    assert len(steps) >= 10 and unfit == []
    assert {"boto3", "numpy", "onnx", "requests", "tritonclient"} <= set(there)
    assert not {"onnxruntime", "mlflow", "torch"} & set(there), "each has threads, or settings, of its own"
    assert threads == 1
    assert variables["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "30"


BROKEN = {
    "a line of output": "print('a word', flush=True)",
    "a thread": "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "a folder for temporary files": "import tempfile; tempfile.gettempdir()",
    "a package that somebody does without": "try:\n    import unshared\nexcept BaseException:\n    pass",
    "an error": "1 / 0",
    "a variable less": "import os; os.environ.pop('TAKEN')",
    "numpy's seed": "import numpy.random",
}


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_whatever_else_an_import_does_nothing_is_forked_after_it(tmp_path: Path, code: str) -> None:
    library = tmp_path / "lib"
    library.mkdir()
    (library / "tenacity.py").write_text(code)  # a name that is shared
    (library / "unshared.py").touch()
    (library / "module.py").write_text("import tenacity\n")
    asked = (
        "import sys; sys.path.insert(0, sys.argv[1]); import forks; sys.path[0] = '/nowhere'\n"
        "ahead = forks.Ahead(forks._beside('standby'), ['numpy', 'tenacity'])\n"
        "sys.stderr.write(str([ahead.take(name, '/nowhere') for name in ('module', 'types')]))"
    )
    command = [sys.executable, "-c", asked, str(Path(standbys.__file__).parent)]
    with (tmp_path / "output").open("wb") as output:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": str(library), "TAKEN": "1"},
            stdout=output,
            stderr=subprocess.PIPE,
            check=True,
        )
    expected = "[True, True]" if code == BROKEN["numpy's seed"] else "[False, False]"
    assert done.stderr.decode() == expected
