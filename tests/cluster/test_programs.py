"""`couler run` with programs as people write them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.lint import lint_manifest
from tests.cluster import programs
from tests.cluster.conftest import Run
from tests.cluster.server import Server

ENDINGS = {
    "nothing": "",
    "instance": "couler.run(submitter=ArgoSubmitter(namespace='team'))",
    "class": "couler.run(submitter=ArgoSubmitter)",
    "default": "couler.run()",
    "ours": "from argosy.cluster import ArgosySubmitter\ncouler.run(submitter=ArgosySubmitter())",
    "our class": "from argosy.cluster import ArgosySubmitter\ncouler.run(submitter=ArgosySubmitter)",
    "main guard": "if __name__ == '__main__':\n    couler.run(ArgoSubmitter())",
}


def write(text: str, name: str = "flow_program.py") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def only(server: Server) -> dict[str, Any]:
    (workflow,) = (found for (kind, _, _), found in server.store.objects.items() if kind == "workflows")
    return workflow


def tasks(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in manifest["spec"]["templates"][0]["dag"]["tasks"]}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_whatever_ends_the_program_our_manifest_arrives(server: Server, couler: Run, ending: str) -> None:
    result = couler("run", write(programs.COIN + ending))
    assert result.exit_code == 0, result.output
    workflow = only(server)
    assert result.stdout == f"Workflow '{workflow['metadata']['name']}' created in namespace 'team'\n"
    assert workflow["metadata"]["generateName"] == "flow-program-"
    found = tasks(workflow)
    assert found["heads"] == {
        "name": "heads",
        "template": "heads",
        "depends": "flip",
        "when": "{{tasks.flip.outputs.result}} == heads",
        "arguments": {"parameters": [{"name": "para-heads-0", "value": "heads"}]},
    }
    assert found["tails"]["when"] == "{{tasks.flip.outputs.result}} == tails"


@pytest.mark.parametrize("program", [programs.COIN, programs.WITH_COMPONENT, programs.STEP])
def test_the_manifest_is_one_that_argo_takes(couler: Run, program: str) -> None:
    result = couler("run", write(program), "--dry-run")
    assert not [v for v in lint_manifest(yaml.safe_load(result.stdout), source="dry") if v.is_error]


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_a_dry_run_needs_no_cluster(couler: Run, ending: str) -> None:
    result = couler("run", write(programs.COIN + ending), "--dry-run")
    assert result.exit_code == 0, result.output
    assert set(tasks(yaml.safe_load(result.stdout))) == {"flip", "heads", "tails"}


def test_components_at_the_top_of_a_file_become_tasks(server: Server, couler: Run) -> None:
    result = couler("run", write(programs.WITH_COMPONENT))
    assert result.exit_code == 0, result.output
    workflow = only(server)
    found = tasks(workflow)
    assert found["report"]["depends"] == "measure"
    assert found["report"]["when"] == "{{tasks.measure.outputs.parameters.score}} > 0.5"
    assert found["plain"]["depends"] == "measure && report.Succeeded"
    assert (
        found["plain"]["arguments"]["parameters"][0]["value"] == "{{tasks.measure.outputs.parameters.score}}"
    )
    measure = next(t for t in workflow["spec"]["templates"] if t["name"] == "measure")
    assert measure["container"]["command"] == ["python", "-m", "argosy.step", "flow_program:measure"]


def test_a_pipeline_with_parameters(server: Server, couler: Run) -> None:
    result = couler("run", write(programs.PIPELINE, "flow_p.py"), "-p", "epochs=3", "-n", "default")
    assert result.exit_code == 0, result.output
    values = only(server)["spec"]["arguments"]["parameters"]
    assert [p.get("value") for p in values] == ["3", "fast"]
    assert next(iter(server.store.objects))[1] == "default"


def test_what_the_program_configures_is_kept(server: Server, couler: Run) -> None:
    config = "couler.config_workflow(name='night', timeout=60, time_to_clean=5, service_account='robot')\n"
    result = couler("run", write(programs.STEP + config))
    assert result.exit_code == 0, result.output
    workflow = only(server)
    assert workflow["metadata"]["name"] == "night"
    spec = {k: v for k, v in workflow["spec"].items() if k != "templates"}
    assert spec == {
        "entrypoint": "main",
        "activeDeadlineSeconds": 60,
        "serviceAccountName": "robot",
        "ttlStrategy": {"secondsAfterCompletion": 5},
    }


def test_a_schedule_makes_a_cron_workflow_of_todays_form(server: Server, couler: Run) -> None:
    cron = {"schedule": "0 3 * * *", "suspend": "true", "timezone": "Europe/Berlin"}
    program = write(f"{programs.STEP}\ncouler.config_workflow(name='night', cron_config={cron})\n")
    assert couler("run", program).stdout == "CronWorkflow 'night' created in namespace 'team'\n"
    assert couler("run", program).stdout == "CronWorkflow 'night' updated in namespace 'team'\n"
    spec = server.store.get("cronworkflows", "team", "night")["spec"]
    inner = spec.pop("workflowSpec")
    assert spec == {
        "schedules": ["0 3 * * *"],
        "concurrencyPolicy": "Allow",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
        "startingDeadlineSeconds": 10,
        "timezone": "Europe/Berlin",
        "suspend": True,
    }
    assert [t["name"] for t in inner["templates"]] == ["main", "only"]


def test_each_run_delivers_what_was_composed_since_the_last(server: Server, couler: Run) -> None:
    second = "couler.run(ArgoSubmitter())\ncouler.config_workflow(name='next')\nsay('more')\n"
    result = couler("run", write(programs.COIN + second))
    assert result.exit_code == 0, result.output
    first, after = server.store.objects.values()
    assert set(tasks(first)) == {"flip", "heads", "tails"}
    assert after["metadata"]["name"] == "next" and set(tasks(after)) == {"more"}


def test_the_command_line_goes_before_the_program(server: Server, couler: Run) -> None:
    result = couler("run", write(programs.COIN + ENDINGS["instance"]), "-n", "default")
    assert result.stdout.endswith("in namespace 'default'\n"), result.output


def test_a_submitter_of_the_programs_own_may_change_the_manifest(server: Server, couler: Run) -> None:
    text = """
class Labelled(ArgoSubmitter):
    def submit(self, workflow_yaml, secrets=None):
        workflow_yaml["metadata"]["labels"]["team"] = "vision"
        return super().submit(workflow_yaml, secrets)


assert couler.run(submitter=Labelled())["metadata"]["uid"]
"""
    result = couler("run", write(programs.COIN + text))
    assert result.exit_code == 0, result.output
    assert only(server)["metadata"]["labels"]["team"] == "vision"


def test_a_dry_run_calls_no_submitter_of_the_programs_own(couler: Run) -> None:
    text = """
class Posting(ArgoSubmitter):
    def submit(self, workflow_yaml, secrets=None):
        raise AssertionError("something was sent")


couler.run(submitter=Posting())
couler.delete("an-old-one")
"""
    assert couler("run", write(programs.COIN + text), "--dry-run").exit_code == 0


def test_what_a_program_prints_is_no_part_of_the_yaml(couler: Run) -> None:
    result = couler("run", write(f"print('hello')\n{programs.STEP}"), "--dry-run")
    assert result.stdout.startswith("apiVersion:") and "hello" in result.stderr


def test_compiling_a_pipeline_in_between_disturbs_nothing(server: Server, couler: Run) -> None:
    text = f"""{programs.STEP}
import argosy


@argosy.component(image="a")
def other() -> None:
    pass


def flow():
    other()
    couler.run_container(image="b", command=["c"], step_name="within")


compiled = argosy.compile(argosy.pipeline(name="inner")(flow))
assert [t["name"] for t in compiled["spec"]["templates"][0]["dag"]["tasks"]] == ["other", "within"]
couler.run_container(image="alpine", command=["true"], step_name="last")
"""
    result = couler("run", write(text))
    assert result.exit_code == 0, result.output
    dry = couler("run", write(text), "--dry-run")
    assert dry.exit_code == 0, dry.output
    for manifest in (only(server), yaml.safe_load(dry.stdout)):
        assert {n: t.get("depends") for n, t in tasks(manifest).items()} == {"only": None, "last": "only"}


class TestParameters:
    def test_a_script_may_refer_to_parameters(self, server: Server, couler: Run) -> None:
        text = programs.STEP.replace('"alpine"', '"{{workflow.parameters.image}}"')
        result = couler("run", write(text), "-p", "image=alpine:3")
        assert result.exit_code == 0, result.output
        arguments = only(server)["spec"]["arguments"]
        assert arguments == {"parameters": [{"name": "image", "value": "alpine:3"}]}

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "parameter 'image' has no value; give it with -p image=VALUE"),
            (["-p", "img=a", "-p", "image=b"], "unknown parameter 'img'; did you mean 'image'?"),
            (["-p", "image"], "-p 'image' is not of the form NAME=VALUE"),
        ],
    )
    def test_wrong_ones(self, server: Server, couler: Run, words: list[str], message: str) -> None:
        text = programs.STEP.replace('"alpine"', '"{{workflow.parameters.image}}"')
        result = couler("run", write(text), *words)
        assert (result.exit_code, result.stderr) == (2, f"couler: {message}\n")
        assert not server.requests


class TestSecrets:
    SECRET = "name = couler.create_secret({'key': 'the-secret-value'})\n"

    def test_they_are_made_first_and_read_by_the_steps(self, server: Server, couler: Run) -> None:
        step = "couler.run_container(image='a', command=['b'], secret=name, step_name='reader')\n"
        program = write(f"import couler.argo as couler\n{self.SECRET}{step}")
        for _ in range(2):  # the same Secret again is no conflict
            result = couler("run", program)
            assert result.exit_code == 0, result.output
            assert "the-secret-value" not in result.output
        assert [kind for kind, _, _ in server.store.objects] == ["secrets", "workflows", "workflows"]
        assert {place for _, place, _ in server.store.objects} == {"team"}

    def test_one_with_other_content_stays_as_it_is(self, server: Server, couler: Run) -> None:
        known = {"kind": "Secret", "metadata": {"name": "mine"}, "data": {"key": "b3RoZXI="}}
        server.store.create("secrets", "team", known)
        text = programs.STEP + "couler.create_secret({'key': 'the-secret-value'}, name='mine')\n"
        result = couler("run", write(text))
        assert result.exit_code == 1
        assert "there is a Secret 'mine' with other content in namespace 'team'" in result.stderr
        assert len(server.store.objects) == 1

    def test_a_dry_run_names_them_and_does_not_show_them(self, couler: Run) -> None:
        result = couler("run", write(programs.STEP + self.SECRET), "--dry-run")
        assert "a Secret 'couler-" in result.stderr
        assert "the-secret-value" not in result.output and "dGhlLXNlY3JldC12YWx1ZQ" not in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "composes no step, and declares no pipeline"),
        ("import couler.argo as c\nc.run()\n", "the program composes no step"),
        ("x = 1\nraise ValueError('broken')\n", "flow_program.py:2: ValueError: broken"),
        ("x = (\n", "flow_program.py:1:"),
        (
            programs.STEP + "couler.workflow.volumes.append(5)\ncouler.config_workflow(affinity={'a': 1})\n",
            "Error",
        ),
        ("import sys\nsys.exit(3)\n", "ended with 3"),
        (programs.STEP + "couler.run(submitter=5)\n", "flow_program.py:5: TypeError: "),
        (
            programs.STEP.replace("only", "main"),
            "step_name: 'main' is a template that each workflow has by itself",
        ),
    ],
)
def test_a_program_that_is_wrong(server: Server, couler: Run, text: str, message: str) -> None:
    result = couler("run", write(text))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("couler: ") and message in result.stderr
    assert "Traceback" not in result.output
    assert not server.requests


@pytest.mark.parametrize("word", ["gone.py", "flow.yaml", "train-model-image-classification"])
def test_no_program(couler: Run, word: str) -> None:
    result = couler("run", word)
    assert result.exit_code == 2 and result.stderr.startswith("couler: ")


def test_a_value_given_to_a_function_of_pythons_is_one_line_on_the_programs_line(couler: Run) -> None:
    program = "import json\nimport couler.argo as couler\nx = couler.run_script(image='p', source='1')\n"
    result = couler("run", write(program + "json.dumps({'a': x})\n"), "--dry-run")
    assert result.exit_code == 2
    assert "flow_program.py:4: a value that is not there while the pipeline is composed" in result.output
