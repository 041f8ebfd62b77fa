"""The workflows of GitHub: what they may do, what they run, where they push."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.components import images

WORKFLOWS = ["ci.yml", "compile-check.yml", "images.yml"]
SECRETS = re.compile(r"AKIA[0-9A-Z]{16}|aws-(secret-)?access-key|gh[pousr]_\w{20}|password|\bsecrets\.")


def text_of(repository: Path, name: str) -> str:
    """A workflow as it is written."""
    return (repository / ".github" / "workflows" / name).read_text()


def load(repository: Path, name: str) -> dict[str, Any]:
    """A workflow; the key `on`, which YAML 1.1 takes for a truth, is a text again."""
    workflow = yaml.safe_load(text_of(repository, name))
    return {"on" if key is True else key: value for key, value in workflow.items()}


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture
def pushing(repository: Path) -> dict[str, Any]:
    """The job that pushes images."""
    job: dict[str, Any] = load(repository, "images.yml")["jobs"]["push"]
    return job


def test_every_workflow_is_tested(repository: Path) -> None:
    assert sorted(file.name for file in (repository / ".github" / "workflows").iterdir()) == WORKFLOWS


@pytest.mark.parametrize("name", WORKFLOWS)
class TestWorkflow:
    """What holds for each of them."""

    def test_permissions_are_given_by_name(self, repository: Path, name: str) -> None:
        workflow = load(repository, name)
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            granted = set(job["permissions"].items())
            assert granted <= {("contents", "read"), ("id-token", "write")}

    def test_every_action_is_pinned_to_a_version(self, repository: Path, name: str) -> None:
        used = [step["uses"] for step in steps(load(repository, name)) if "uses" in step]
        assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", action) for action in used)

    def test_no_secret_is_written_down_or_asked_for(self, repository: Path, name: str) -> None:
        assert not SECRETS.search(text_of(repository, name))

    def test_runs_of_one_branch_do_not_pile_up(self, repository: Path, name: str) -> None:
        assert "${{ github.ref }}" in load(repository, name)["concurrency"]["group"]

    def test_no_job_runs_for_hours(self, repository: Path, name: str) -> None:
        assert all(0 < job["timeout-minutes"] <= 90 for job in load(repository, name)["jobs"].values())

    def test_no_script_is_made_of_what_a_stranger_may_write(self, repository: Path, name: str) -> None:
        """An expression inside `run` is pasted into the shell's program before it starts."""
        assert not [step["run"] for step in steps(load(repository, name)) if "${{" in step.get("run", "")]


def test_ci_runs_on_push_and_pull_request(repository: Path) -> None:
    assert set(load(repository, "ci.yml")["on"]) == {"push", "pull_request"}


@pytest.mark.parametrize(
    "command",
    [
        "make test",
        "make check",
        "containers/lock.py --check",
        "python -m build --wheel",
        "-p argosy",
        "argosy compile --check",
    ],
)
def test_ci_checks(repository: Path, command: str) -> None:
    assert [step for step in steps(load(repository, "ci.yml")) if command in step.get("run", "")]


def test_make_check_is_lint_format_and_compiled_yaml(repository: Path) -> None:
    recipe = (repository / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    assert all(
        command in recipe for command in ("ruff check", "ruff format --check", "argosy compile --check")
    )


def test_the_registry_is_the_one_that_steps_name(repository: Path) -> None:
    environment = load(repository, "images.yml")["env"]
    assert environment["ECR_REGISTRY"] == images.REGISTRY
    assert f".{environment['AWS_REGION']}." in images.REGISTRY


def test_both_images_are_built_and_pushed(repository: Path) -> None:
    wanted = {file.parent.name for file in (repository / "containers").glob("*/Dockerfile")}
    for job in load(repository, "images.yml")["jobs"].values():
        assert set(job["strategy"]["matrix"]["image"]) == wanted


def test_a_pull_request_builds_but_cannot_push(repository: Path) -> None:
    workflow = load(repository, "images.yml")
    assert "containers/**" in workflow["on"]["pull_request"]["paths"]
    build, push = workflow["jobs"]["build"], workflow["jobs"]["push"]
    assert (build["if"], push["if"]) == (
        "github.event_name == 'pull_request'",
        "github.event_name != 'pull_request'",
    )
    assert "id-token" not in build["permissions"]
    assert build["steps"][-1]["with"]["push"] is False


def test_tags_of_versions_and_people_push(repository: Path) -> None:
    triggers = load(repository, "images.yml")["on"]
    assert triggers["push"] == {"tags": ["v*"]}
    assert "workflow_dispatch" in triggers


def test_aws_is_entered_by_a_role_through_oidc(pushing: dict[str, Any]) -> None:
    assert pushing["permissions"]["id-token"] == "write"
    entering = [step for step in pushing["steps"] if "configure-aws-credentials@" in step.get("uses", "")]
    assert [step["with"]["role-to-assume"] for step in entering] == ["${{ vars.AWS_ECR_ROLE }}"]


def test_an_image_is_tagged_with_version_and_commit(pushing: dict[str, Any]) -> None:
    inputs = pushing["steps"][-1]["with"]
    assert inputs["push"] is True
    image = "${{ env.ECR_REGISTRY }}/${{ matrix.image }}"
    assert inputs["tags"].split("\n")[:-1] == [
        f"{image}:${{{{ steps.argosy.outputs.version }}}}",
        f"{image}:${{{{ github.sha }}}}",
    ]
