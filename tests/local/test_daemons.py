"""Daemons: ready before others start, at 127.0.0.1, stopped with the template that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.code.images.conftest import free_port
from tests.local.conftest import Run, log, manifest, node, phases

SERVER = """
import http.server, os, pathlib, sys
print(os.getpid(), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ok" else 500)
        self.end_headers()
        self.wfile.write(b"served")
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


def spec(port: int, probe: str, scope: str = "steps") -> dict[str, object]:
    """A server, a step that asks it inside of the same template, and one after that template."""
    parsed: dict[str, object] = yaml.safe_load(f"""
templates:
- name: main
  steps: [[{{name: outer, template: inner}}], [{{name: after, template: ok}}]]
- name: inner
  {scope}:
- name: serve
  daemon: true
  container: {{image: x, command: [python, -c], args: [], readinessProbe: {probe}}}
- name: ask
  inputs: {{parameters: [{{name: ip}}]}}
  container: {{image: x, command: [python, -c], args: []}}
""")
    inner, serve, ask = parsed["templates"][1:]  # type: ignore[index]
    given = {
        "parameters": [{"name": "ip", "value": "{{%s.serve.ip}}" % ("tasks" if scope == "dag" else "steps")}]
    }
    server, asker = (
        {"name": "serve", "template": "serve"},
        {"name": "ask", "template": "ask", "arguments": given},
    )
    inner[scope] = (
        {"tasks": [server, {**asker, "depends": "serve"}]} if scope == "dag" else [[server], [asker]]
    )
    serve["container"]["args"] = [SERVER, str(port)]
    ask["container"]["args"] = [ASK, f"http://{{{{inputs.parameters.ip}}}}:{port}/ok"]
    return parsed


@pytest.mark.parametrize(
    ("scope", "probe"),
    [
        ("steps", "{{httpGet: {{path: /ok, port: {port}}}}}"),
        ("dag", "{{tcpSocket: {{port: {port}}}}}"),
        (
            "dag",
            "{{exec: {{command: [python, -c, "
            "'import socket, sys; socket.create_connection((sys.argv[1], {port}))',"
            " 127.0.0.1]}}, timeoutSeconds: 5}}",
        ),
    ],
    ids=["httpGet", "tcpSocket", "exec"],
)
def test_a_daemon_serves_until_its_template_ends(run: Run, scope: str, probe: str) -> None:
    port = free_port()
    result = run(spec(port, probe.format(port=port), scope))
    assert phases(result) == {
        "outer": "Succeeded",
        "outer.serve": "Succeeded",
        "outer.ask": "Succeeded",
        "after": "Succeeded",
    }
    assert log(result, "outer.ask") == "served\n"
    assert not Path(f"/proc/{int(log(result, 'outer.serve'))}").exists()


def test_a_daemon_that_ends_before_it_is_ready_has_failed(run: Run) -> None:
    text = spec(free_port(), "{tcpSocket: {port: 1}}")
    text["templates"][2]["container"].update(command=["sh", "-c", "exit 3"], args=[])  # type: ignore[index]
    result = run(text)
    assert (node(result, "outer.serve").phase.value, node(result, "outer.ask").phase.value) == (
        "Failed",
        "Omitted",
    )


def test_a_daemon_counts_as_daemoned(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: d, template: d}
    - name: a
      template: echo
      depends: d.Daemoned
      arguments: {parameters: [{name: m, value: "{{tasks.d.status}}"}]}
    - {name: b, template: ok, depends: d.Succeeded}
- {name: d, daemon: true, container: {image: x, command: [sleep, "600"]}}
""")
    assert phases(result) == {"d": "Succeeded", "a": "Succeeded", "b": "Omitted"}
    assert log(result, "a") == "Running\n"


def test_nothing_of_a_daemon_is_left_when_the_runner_is_killed(tmp_path: Path) -> None:
    text = """
templates:
- name: main
  steps: [[{name: d, template: d}], [{name: w, template: w}]]
- {name: d, daemon: true, container: {image: x, command: [sh, -c, 'echo $$$$; exec sleep 600']}}
- {name: w, container: {image: x, command: [sh, -c, 'echo $$$$; exec sleep 600']}}
"""
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(manifest(text)))
    argosy = Path(sys.executable).with_name("argosy")
    environment = {**os.environ, "ARGOSY_STATE_DIR": str(tmp_path)}
    with subprocess.Popen(
        [argosy, "run", "w.yaml"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    ) as runner:
        logs: list[Path] = []
        while len(logs) < 2 and runner.poll() is None:
            logs = [
                path for path in tmp_path.glob("runs/*/steps/*/main.log") if path.read_text().endswith("\n")
            ]
        runner.send_signal(signal.SIGKILL)
    programs = [Path("/proc", path.read_text().strip()) for path in logs]
    assert len(programs) == 2
    while any(program.exists() for program in programs):
        time.sleep(0.02)
