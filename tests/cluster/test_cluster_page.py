"""docs/cluster.md: each of its commands works, or says that it needs a cluster."""

import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Run
from tests.cluster.server import Server
from tests.cluster.workflows import node, pod, status

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```([^\n]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NAME = "hello-x7k2p"
BEFORE = {
    "retry": status("Failed", **{f"{NAME}-1": node("greet", "Failed", templateName="greet")}),
    "resume": status("Running", a=node("approve", "Running", "Suspend")),
    "stop": status("Running"),
}
DONE = status("Succeeded", **{f"{NAME}-1": node("greet", "Succeeded", templateName="greet")})

pytestmark = pytest.mark.story


@pytest.fixture
def controller(server: Server) -> Iterator[None]:
    """Ends every workflow that comes; one that the page names is there, with its pod."""
    server.store.namespaces.add("ml")
    body = {"kind": "Workflow", "metadata": {"name": NAME}, "spec": {}, "status": DONE}
    server.store.create("workflows", "ml", body)
    pod(server, f"{NAME}-greet-1", "Succeeded", "hello\n", namespace="ml")
    over = threading.Event()

    def act() -> None:
        while not over.wait(0.02):
            for (kind, namespace, name), found in list(server.store.objects.items()):
                if kind == "workflows" and "status" not in found:
                    server.store.set_status(namespace, name, status("Succeeded"))

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def test_every_block_is_run_or_marked() -> None:
    assert {info for info, _ in BLOCKS} == {"sh", "sh cluster"}


@pytest.mark.usefixtures("controller")
def test_every_command_does_what_it_says(server: Server, argosy: Run, tmp_path: Path) -> None:
    (hello,) = re.findall(r"```python\n(# hello\.py\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "hello.py").write_text(hello, encoding="utf-8")
    commands = [line for info, text in BLOCKS if info == "sh" for line in text.splitlines()]
    assert len(commands) > 15
    for command in commands:
        program, verb, *words = shlex.split(command)
        assert program == "argosy"
        if verb in BEFORE:
            server.store.set_status("ml", NAME, BEFORE[verb])
        result = argosy(verb, *words)
        assert result.exit_code == 0, f"{command}\n{result.output}"
    names = [
        name for kind, namespace, name in server.store.objects if (kind, namespace) == ("workflows", "ml")
    ]
    assert sum(name.startswith("hello-") for name in names) == 3
    assert sum(name.startswith("pipeline-image-classification-") for name in names) == 1
    code = {o["metadata"]["name"] for (kind, _, _), o in server.store.objects.items() if kind == "configmaps"}
    assert len(code) == 1
