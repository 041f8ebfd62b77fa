"""Where a run came from."""

import subprocess
from pathlib import Path

import pytest

from argosy.components.training.tracking import metrics
from argosy.components.training.tracking.metrics import machine, origin


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ARGO_WORKFLOW_NAME": "train-x7k2p", "ARGO_NODE_ID": "other-1234567"}, "train-x7k2p"),
        ({"ARGO_NODE_ID": "train-x7k2p-3214095871"}, "train-x7k2p"),
        ({"ARGO_NODE_ID": "train-x7k2p"}, "train-x7k2p"),
        ({"ARGO_NODE_ID": "train-2026-11-23-987654321"}, "train-2026-11-23"),
        ({}, None),
        ({"ARGO_NODE_ID": ""}, None),
    ],
)
def test_the_workflow(environment: dict[str, str], expected: str | None) -> None:
    assert origin("", environment).get("workflow") == expected


def test_what_the_image_says_comes_first() -> None:
    tags = origin("uid-1", {"ARGOSY_GIT_COMMIT": "abc", "ARGOSY_IMAGE": "registry/tools:1"})
    assert (tags["git_commit"], tags["image"], tags["workflow_uid"]) == ("abc", "registry/tools:1", "uid-1")


def test_what_is_not_known_has_no_tag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metrics, "_HERE", tmp_path)
    assert set(origin("", {})) == {"argosy_version"}


def test_the_commit_of_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = [
            "git",
            "-C",
            str(tmp_path),
            "-c",
            "user.name=n",
            "-c",
            "user.email=n@example.org",
            *arguments,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    git("tag", "v1")  # a tag's name would hide the commit
    monkeypatch.setattr(metrics, "_HERE", tmp_path)
    commit = git("rev-parse", "HEAD")
    assert origin("", {})["git_commit"] == commit
    (tmp_path / "file").write_text("two")
    assert origin("", {})["git_commit"] == f"{commit}-dirty"


def test_no_git_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "git_commit" not in origin("", {})


def test_the_machine_is_described() -> None:
    tags = machine()
    assert set(tags) == {"torch", "python", "device", "threads"}
    assert all(tags.values())
