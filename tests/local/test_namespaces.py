"""Paths as declared: a program with a path built in finds its own step's file there, and only there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from argosy.local import guard, paths
from argosy.local.paths import VIEW_SWITCH, hidden, refusal
from tests.local.conftest import Run, log, node, phases

needs_namespaces = pytest.mark.skipif(bool(refusal({})), reason=refusal({}))
OFF = {VIEW_SWITCH: "0"}
Tool = Callable[[str], Path]


@pytest.fixture
def name() -> str:
    """A name that nothing on this machine has."""
    return f"argosy-test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder beside few others: that of all tests holds thousands, and a crowded one is not shown."""
    with tempfile.TemporaryDirectory(prefix="argosy-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Makes a program of a text of Python; what stands in it is built in, and in no manifest."""

    def made(source: str) -> Path:
        program = tmp_path / f"tool-{uuid.uuid4().hex[:6]}"
        program.write_text(f"#!{sys.executable}\n{textwrap.dedent(source)}", "utf-8")
        program.chmod(0o755)
        return program

    return made


SIDE_BY_SIDE = """
templates:
- name: main
  dag:
    tasks:
    - {{name: a, template: t, arguments: {{parameters: [{{name: me, value: a}}, {{name: other, value: b}}]}}}}
    - {{name: b, template: t, arguments: {{parameters: [{{name: me, value: b}}, {{name: other, value: a}}]}}}}
- name: t
  inputs: {{parameters: [{{name: me}}, {{name: other}}]}}
  outputs: {{parameters: [{{name: out, valueFrom: {{path: /tmp/{name}}}}}]}}
  container:
    image: x
    command: [{tool}, "{{{{inputs.parameters.me}}}}", "{{{{inputs.parameters.other}}}}", {meet}]
"""
WRITES = """
import pathlib, sys, time
me, other, meet = sys.argv[1:]
pathlib.Path("/tmp/{name}").write_text(me)
pathlib.Path(meet, me).touch()
while not pathlib.Path(meet, other).exists():
    time.sleep(0.02)
print(pathlib.Path("/tmp/{name}").read_text())
"""


@needs_namespaces
def test_two_steps_side_by_side_have_two_files_of_one_name(
    run: Run, tool: Tool, name: str, tmp_path: Path
) -> None:
    meet = tmp_path / "meet"
    meet.mkdir()
    result = run(SIDE_BY_SIDE.format(name=name, tool=tool(WRITES.format(name=name)), meet=meet))
    assert phases(result) == {"a": "Succeeded", "b": "Succeeded"}
    assert [node(result, step).outputs.parameters["out"] for step in "ab"] == ["a", "b"]
    assert [log(result, step) for step in "ab"] == ["a\n", "b\n"]
    assert not Path("/tmp", name).exists()


VOLUME = """
templates:
- name: main
  steps: [[{{name: a, template: t}}]]
- name: t
  volumes: [{{name: v, emptyDir: {{}}}}]
  initContainers:
  - {{name: first, image: x, command: [{first}], volumeMounts: [{{name: v, mountPath: {path}}}]}}
  outputs: {{parameters: [{{name: out, valueFrom: {{path: {path}/sub/out}}}}]}}
  container: {{image: x, command: [{second}], volumeMounts: [{{name: v, mountPath: {path}}}]}}
"""


@needs_namespaces
@pytest.mark.parametrize("place", ["/mnt/{}", "/{}/in", "/opt/{}/a/b", "/tmp/{}", "/etc/{}"])
def test_a_volume_is_where_a_program_has_it_built_in(run: Run, tool: Tool, name: str, place: str) -> None:
    path = place.format(name)
    first = tool(f"import pathlib; pathlib.Path('{path}/first').write_text('here')")
    second = tool(f"import pathlib; pathlib.Path('{path}/first').rename('{path}/sub/out')")
    result = run(VOLUME.format(first=first, second=second, path=path))
    assert phases(result) == {"a": "Succeeded"}
    assert node(result, "a").outputs.parameters == {"out": "here"}
    assert not Path(path).exists()
    assert not Path(path).parent.exists() or Path(path).parent.name != name


PLACES = """
templates:
- name: main
  steps: [[{{name: a, template: t}}]]
- name: t
  inputs: {{artifacts: [{{name: i, path: /{name}/in/file, raw: {{data: text}}}}]}}
  outputs: {{artifacts: [{{name: o, path: /{name}/out}}]}}
  script:
    image: x
    command: [sh]
    workingDir: /{name}/work
    source: |
      pwd
      echo {{{{inputs.artifacts.i.path}}}} {{{{outputs.artifacts.o.path}}}} /{name}/out
      {tool}
"""


@needs_namespaces
def test_tags_and_the_working_directory_give_the_declared_paths(run: Run, tool: Tool, name: str) -> None:
    copies = f"import shutil; shutil.copytree('/{name}/in', '/{name}/out')"
    result = run(PLACES.format(name=name, tool=tool(copies)))
    assert log(result, "a") == f"/{name}/work\n/{name}/in/file /{name}/out /{name}/out\n"
    kept = result.run_dir / node(result, "a").outputs.artifacts["o"]
    assert (kept / "file").read_text("utf-8") == "text"


RENAMES = """
import os, tempfile
with tempfile.NamedTemporaryFile("w", delete=False) as file:
    file.write("x")
os.rename(file.name, "/tmp/{name}")
"""


@needs_namespaces
def test_a_temporary_file_can_be_renamed_to_a_path_beside_it(run: Run, tool: Tool, name: str) -> None:
    result = run(f"""
templates:
- name: main
  outputs: {{parameters: [{{name: out, valueFrom: {{path: /tmp/{name}}}}}]}}
  container: {{image: x, command: [{tool(RENAMES.format(name=name))}]}}
""")
    assert node(result, "main").outputs.parameters == {"out": "x"}, log(result, "main")


LINKS = """
import os, pathlib
out, other = pathlib.Path("/tmp/{name}"), pathlib.Path("/tmp/{name}-undeclared")
other.mkdir()
(other / "file").write_text("linked")
out.mkdir()
(out / "link").symlink_to(other / "file")
"""


@needs_namespaces
def test_links_that_a_program_makes_lead_to_its_own_files(run: Run, tool: Tool, name: str) -> None:
    text = SIDE_BY_SIDE.replace("parameters: [{{name: out, valueFrom:", "artifacts: [{{name: out, x:")
    text = text.replace("x: {{path: /tmp/{name}}}}}", "path: /tmp/{name}}}")
    result = run(text.format(name=name, tool=tool(LINKS.format(name=name)), meet="x"))
    kept = result.run_dir / node(result, "a").outputs.artifacts["out"]
    assert (kept / "link").read_text("utf-8") == "linked"


@needs_namespaces
def test_the_temporary_folder_is_the_steps_own_but_for_what_it_is_told_of(
    run: Run, tool: Tool, name: str
) -> None:
    told, untold = Path(f"/tmp/{name}-told"), Path(f"/tmp/{name}-other")
    told.write_text("told", "utf-8")
    untold.write_text("untold", "utf-8")
    try:
        reads = f"""
        import pathlib, sys
        there = pathlib.Path({str(untold)!r}).exists()
        pathlib.Path('/tmp/{name}').write_text(open(sys.argv[3]).read() + str(there))
        pathlib.Path('/tmp/{name}-new').touch()
        """
        result = run(SIDE_BY_SIDE.format(name=name, tool=tool(reads), meet=told))
        assert node(result, "a").outputs.parameters == {"out": "toldFalse"}
        assert [told.read_text("utf-8"), untold.read_text("utf-8")] == ["told", "untold"]
        assert not Path(f"/tmp/{name}-new").exists()
        left = {str(p.relative_to(result.run_dir)) for p in (result.run_dir / "steps/a/root").rglob("*")}
        assert left == {f"steps/a/root/{p}" for p in ("tmp", f"tmp/{name}", f"tmp/{name}-new")}
    finally:
        told.unlink()
        untold.unlink()


@needs_namespaces
@pytest.mark.parametrize("place", ["/{}", "/usr/local/{}", "/etc/{}"])
def test_what_lies_beside_a_declared_path_is_seen(run: Run, tool: Tool, name: str, place: str) -> None:
    path = Path(place.format(name))
    looks = f"""
    import os, pathlib
    pathlib.Path('{path}').write_text(",".join(sorted(os.listdir('{path.parent}'))))
    """
    result = run(f"""
templates:
- name: main
  outputs: {{parameters: [{{name: out, valueFrom: {{path: {path}}}}}]}}
  container: {{image: x, command: [{tool(looks)}]}}
""")
    seen = node(result, "main").outputs.parameters["out"].split(",")
    assert seen == sorted(p.name for p in path.parent.iterdir())
    left = {p.name for p in (result.run_dir / "steps/main/root").rglob("*")}
    assert left == {"tmp", name, *path.parts[1:-1]}


WAITS = """
import pathlib, sys, time
pathlib.Path("/tmp/{name}").write_text(open("/proc/self/stat").read().split()[0])
print("ready", flush=True)
time.sleep(600)
"""


@needs_namespaces
def test_a_run_that_is_killed_leaves_no_process_and_no_mount(tmp_path: Path, tool: Tool, name: str) -> None:
    path = tmp_path / "w.yaml"
    spec = SIDE_BY_SIDE.format(name=name, tool=tool(WAITS.format(name=name)), meet="x")
    path.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: main\n"
        + textwrap.indent(spec, "  "),
        "utf-8",
    )
    state = tmp_path / "state"
    command = [sys.executable, "-m", "argosy", "run", str(path), "--state-dir", str(state)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        logs = []
        while len(logs) < 2 or not all(file.read_text("utf-8") for file in logs):
            assert process.poll() is None
            time.sleep(0.05)
            logs = list(state.glob("runs/*/steps/*/main.log"))
        pids = [int(file.read_text("utf-8")) for file in state.glob(f"runs/*/steps/*/root/tmp/{name}")]
        process.send_signal(signal.SIGKILL)
    assert len(pids) == 2
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.05)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text("utf-8")
    assert not Path("/tmp", name).exists()


@needs_namespaces
def test_a_time_out_stops_a_program_in_its_view(run: Run, tool: Tool, name: str) -> None:
    text = SIDE_BY_SIDE.format(name=name, tool=tool(WAITS.format(name=name)), meet="x")
    result = run(text.replace("- name: t\n", "- name: t\n  activeDeadlineSeconds: 1\n"))
    assert phases(result) == {"a": "Failed", "b": "Failed"}
    assert node(result, "a").message == "ran longer than 1 s and was stopped"
    assert not Path("/proc", node(result, "a").outputs.parameters["out"]).exists()


@needs_namespaces
def test_a_program_is_who_it_was(run: Run) -> None:
    result = run("""
templates:
- name: main
  outputs: {parameters: [{name: id, valueFrom: {path: /tmp/id}}]}
  container: {image: x, command: [sh, -c, 'id -u > /tmp/id; test -w "$HOME/." || true']}
""")
    assert node(result, "main").outputs.parameters == {"id": str(os.getuid())}


def test_switched_off_paths_are_moved_and_a_built_in_one_is_told(run: Run, tool: Tool, name: str) -> None:
    writes = tool("import sys")
    result = run(SIDE_BY_SIDE.format(name=name, tool=writes, meet="x"), environment=OFF)
    assert phases(result) == {"a": "Error", "b": "Error"}
    told = f"no file /tmp/{name} (a program that has the path built in does not find it here: {VIEW_SWITCH}=0"
    assert told in node(result, "a").message
    spec = "templates: [{name: main, steps: [[{name: a, template: echo}]]}]"
    moved = run(spec, folder="other", environment=OFF)
    assert node(moved, "a").outputs.parameters == {"out": "nothing"}
    assert (moved.run_dir / "steps/a/root/tmp/out").read_text("utf-8") == "nothing\n"


KEEPS = """
import os, pathlib, sys
path = pathlib.Path("{path}")
(path / "sub/out").write_text(sys.executable + " " + os.getcwd())
print(*sorted(p.name for p in path.iterdir()))
"""


@needs_namespaces
def test_a_folder_of_the_steps_own_holds_what_programs_need_here(
    run: Run, tool: Tool, tmp_path: Path
) -> None:
    result = run(f"""
templates:
- name: main
  volumes: [{{name: v, emptyDir: {{}}}}]
  outputs: {{parameters: [{{name: out, valueFrom: {{path: {tmp_path}/sub/out}}}}]}}
  container:
    image: x
    command: [python, -c, {json.dumps(KEEPS.format(path=tmp_path))}]
    workingDir: {tmp_path}/sub
    volumeMounts: [{{name: v, mountPath: {tmp_path}}}]
""")
    work = tmp_path / "sub"
    assert node(result, "main").outputs.parameters["out"] == f"{sys.executable} {work}"
    assert log(result, "main") == f"{result.run_dir.name} sub\n"
    assert [p.name for p in (result.run_dir / "steps/main/volumes/v").iterdir()] == ["sub"]


@needs_namespaces
def test_a_path_that_would_hide_what_programs_need_is_moved(run: Run, tmp_path: Path) -> None:
    result = run(f"""
volumeClaimTemplates: [{{metadata: {{name: v}}}}]
templates:
- name: main
  outputs: {{parameters: [{{name: out, valueFrom: {{path: {tmp_path}/out}}}}]}}
  container:
    image: x
    command: [sh, -c, 'echo {tmp_path}/out > {tmp_path}/out']
    volumeMounts: [{{name: v, mountPath: {tmp_path}}}]
""")
    assert phases(result) == {"main": "Succeeded"}
    assert node(result, "main").outputs.parameters["out"].startswith(str(result.run_dir))


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_a_kernel_that_refuses_is_told_and_paths_are_moved(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_plan: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(guard, "enter", refused)
    why = paths._kernels_refusal.__wrapped__()
    assert why == (
        "this machine gives a program no view of the file system of its own (Operation not permitted)"
    )
    monkeypatch.setattr(paths, "_kernels_refusal", lambda: why)
    result = run("templates: [{name: main, steps: [[{name: a, template: echo}]]}]")
    assert node(result, "a").outputs.parameters == {"out": "nothing"}
    assert not (result.run_dir / "steps/a/view").exists()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/proc/x", "no place for files"),
        ("/a/../b", "no place for files"),
        ("/usr", "it would hide /usr"),
        ("/needed", "it would hide /needed/here"),
        ("/needed/here", "it would hide /needed/here"),
    ],
)
def test_what_cannot_be_shown(path: str, why: str) -> None:
    assert why in hidden(path, ["/needed/here"])


def test_a_crowded_folder_is_not_shown_entry_by_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / str(number)).touch()
    assert hidden(f"{tmp_path}/out", []) == ""
    monkeypatch.setattr(paths, "_CROWDED", 2)
    assert "has more than 2 entries" in hidden(f"{tmp_path}/out", [])


@needs_namespaces
def test_a_view_that_cannot_be_entered_is_the_steps_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lay = paths.Shown.lay

    def broken(view: paths.Shown, plan: Path, cwd: str, empty: Path) -> None:
        lay(view, plan, cwd, empty)
        plan.write_bytes(plan.read_bytes() + b"\0bind\0/dev\0/no/such/place")

    monkeypatch.setattr(paths.Shown, "lay", broken)
    result = run(SIDE_BY_SIDE.format(name=name, tool="/bin/true", meet="x"))
    assert phases(result) == {"a": "Error", "b": "Error"}
    assert "cannot be shown to /bin/true (No such file or directory: /dev)" in node(result, "a").message


@needs_namespaces
def test_a_volume_as_an_output_is_copied_under_its_declared_name(run: Run, name: str) -> None:
    result = run(f"""
volumes: [{{name: v, emptyDir: {{}}}}]
templates:
- name: main
  outputs: {{artifacts: [{{name: all, path: /{name}}}, {{name: one, path: /{name}/file}}]}}
  container:
    image: x
    command: [sh, -c, 'echo text > /{name}/file']
    volumeMounts: [{{name: v, mountPath: /{name}}}]
""")
    kept = node(result, "main").outputs.artifacts
    assert kept == {"all": f"artifacts/main/all/{name}", "one": "artifacts/main/one/file"}
    texts = [(result.run_dir / path).read_text("utf-8") for path in (f"{kept['all']}/file", kept["one"])]
    assert texts == ["text\n", "text\n"]
