"""Two builds at the same time in one project."""

import subprocess
import time
from pathlib import Path

import pytest
import yaml

from argosy.code.images.packages import alone_in
from tests.code.images.conftest import ARGOSY, HELLO, Project, Server, needs_registry

LOCKS = Path("/proc/locks")


def awaits_a_lock(process: "subprocess.Popen[str]") -> bool:
    """Whether the kernel has a process stand and wait for a lock; one that has ended fails the test."""
    assert process.poll() is None, process.communicate()
    waiting = (line.split() for line in LOCKS.read_text().splitlines() if " -> " in line)
    return any(str(process.pid) in words for words in waiting)


@needs_registry
@pytest.mark.skipif(not LOCKS.is_file(), reason="skipped: the kernel does not say who waits for a lock")
@pytest.mark.parametrize("packages", [("pure", "native==2.0"), ()], ids=["packages", "code alone"])
def test_two_builds_at_once_lose_nothing(
    project: Project, index: Path, server: Server, packages: tuple[str, ...]
) -> None:
    programs = {}
    for number, name in enumerate(("one", "two")):
        declared = f", packages=[{packages[number]!r}]" if packages else ""
        text = HELLO.format(base=project.base).replace('")\ndef', f'"{declared})\ndef')
        (project.folder / f"{name}.py").write_text(text)
        words = [ARGOSY, "build", f"{name}.py", "--push", f"{server.host}/together/"]
        programs[name] = words
    with alone_in(project.folder):
        begun = [
            subprocess.Popen(
                words,
                cwd=project.folder,
                env=project.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for words in programs.values()
        ]
        while not all(awaits_a_lock(process) for process in begun):
            time.sleep(0.01)
        assert not list(project.folder.glob("argosy.*"))
    for process in begun:
        said, wrong = process.communicate()
        assert process.returncode == 0, said + wrong
    pins = yaml.safe_load((project.folder / "argosy.images.yaml").read_text())
    assert sorted(step for pin in pins for step in pin["steps"]) == [
        f"{name}:{step}" for name in programs for step in ("greet", "shout")
    ]
    if packages:
        locked = yaml.safe_load((project.folder / "argosy.lock").read_text())
        assert sorted(word for entry in locked for word in entry["packages"]) == ["native==2.0", "pure"]
    for name in programs:
        assert project.argosy("compile", f"{name}.py").stdout.count("image: ") == 2
