"""An installation's settings, laid under every pipeline."""

from pathlib import Path
from typing import Any

import pytest

from argosy import Schedule, compile, component, pipeline
from argosy.compose.settings import Settings, beside
from argosy.errors import DeclarationError, UsageError


@component(
    image="old.example/tools/step:1",
    template={"sidecars": [{"name": "proxy", "image": "old.example/proxy:2"}], "podSpecPatch": "{}"},
)
def step(text: str = "") -> None:
    """A step."""


@pipeline(
    service_account="own",
    mutex="deploy-{{workflow.parameters.name}}",
    parallelism=2,
    schedule=Schedule("0 3 * * *", timezone="Europe/Berlin"),
    spec={"archiveLogs": False, "priority": 10},
)
def nightly(name: str = "x") -> None:
    """Every night."""
    step(text=name)


SETTINGS = """
images:
  old.example/: new.example/all/
  old.example/tools/: new.example/tools/
namespace: ml
serviceAccountName: installed
workflow: {archiveLogs: true, podPriorityClassName: low}
templateDefaults: {nodeSelector: {pool: cpu}}
"""


def settings(tmp_path: Path, text: str = SETTINGS) -> Settings:
    file = tmp_path / "argosy.yaml"
    file.write_text(text)
    return Settings.load(file)


def test_settings_are_laid_under_the_pipeline(tmp_path: Path) -> None:
    manifest = compile(nightly, settings=settings(tmp_path))
    assert manifest["metadata"]["namespace"] == "ml"
    spec = manifest["spec"]
    assert spec["serviceAccountName"] == "installed"
    assert spec["archiveLogs"] is False
    assert spec["podPriorityClassName"] == "low"
    assert spec["templateDefaults"] == {"nodeSelector": {"pool": "cpu"}}
    assert spec["templates"][1]["container"]["image"] == "new.example/tools/step:1"


def test_a_pipelines_own_details() -> None:
    spec = compile(nightly)["spec"]
    assert spec["serviceAccountName"] == "own"
    assert spec["synchronization"] == {"mutexes": [{"name": "deploy-{{workflow.parameters.name}}"}]}
    assert (spec["parallelism"], spec["priority"], spec["archiveLogs"]) == (2, 10, False)
    assert spec["templates"][1]["sidecars"][0]["name"] == "proxy"
    assert spec["templates"][1]["podSpecPatch"] == "{}"


def test_a_schedule_makes_a_cron_workflow() -> None:
    manifest = compile(nightly, "CronWorkflow")
    assert manifest["kind"] == "CronWorkflow"
    assert manifest["metadata"]["name"] == "nightly"
    spec = manifest["spec"]
    assert (spec["schedules"], spec["timezone"], spec["concurrencyPolicy"]) == (
        ["0 3 * * *"],
        "Europe/Berlin",
        "Forbid",
    )
    assert spec["workflowSpec"]["entrypoint"] == "main"


def test_a_cluster_template_has_no_namespace(tmp_path: Path) -> None:
    assert "namespace" not in compile(nightly, "ClusterWorkflowTemplate", settings(tmp_path))["metadata"]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("image: {}", "argosy.yaml:1: unknown setting 'image'; did you mean 'images'"),
        (
            "namespace: a.b",
            "the setting 'namespace': 'a.b' is not a name of lowercase letters",
        ),
        ("serviceAccountName: a..b", "the setting 'serviceAccountName': 'a..b' is not a name"),
        ("\nnamespace: [a]", "argosy.yaml:2: the setting 'namespace' is not a text"),
        ("workflow: yes", "the setting 'workflow' is not a mapping"),
        ("runner: podmen", "the setting 'runner' is 'podmen'; one of process, podman, docker"),
        ("- a", "settings are a mapping"),
        ("a: [", "not YAML"),
        ("namespace: a\nnamespace: b", "argosy.yaml:2: not YAML: the key 'namespace' is there twice"),
    ],
)
def test_refused_settings(tmp_path: Path, text: str, fragment: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(tmp_path, text)
    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        ({"cron": "every day"}, "is no cron expression: it has 2 fields instead of 5"),
        ({"cron": []}, "no cron expression"),
        ({"cron": "@daily", "timezone": "Mars/Base"}, "'Mars/Base' is not a time zone; write an IANA name"),
        ({"cron": "@daily", "concurrency_policy": "Maybe"}, "'Maybe' is none of Allow, Forbid, Replace"),
    ],
)
def test_refused_schedules(given: dict[str, Any], fragment: str) -> None:
    with pytest.raises(DeclarationError, match=fragment):
        Schedule(**given)


def test_a_pipeline_without_schedule_has_no_cron_workflow() -> None:
    @pipeline(name="plain")
    def plain() -> None:
        step()

    with pytest.raises(UsageError, match="has no schedule"):
        compile(plain, "CronWorkflow")


def test_a_template_cannot_replace_the_signature() -> None:
    with pytest.raises(DeclarationError, match="'inputs' comes from the component's signature"):
        component(image="a", template={"inputs": {}})


def test_the_nearest_file_upwards_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARGOSY_SETTINGS", raising=False)
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "argosy.yaml").write_text("namespace: top\nsecrets: keys/secrets.yaml\n")
    monkeypatch.chdir(deep)
    assert Settings.find().namespace == "top"
    assert Settings.find().secrets == tmp_path / "keys/secrets.yaml"
    (tmp_path / "a" / "argosy.yaml").write_text("namespace: nearer\n")
    assert (Settings.find().namespace, Settings.find().secrets) == ("nearer", None)
    monkeypatch.setenv("ARGOSY_SETTINGS", str(tmp_path / "argosy.yaml"))
    assert Settings.find().namespace == "top"


@pytest.mark.parametrize("name", ["argosy.images.yaml", "argosy.lock"])
def test_what_a_build_wrote_is_found_from_below_also_without_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("ARGOSY_SETTINGS", raising=False)
    (tmp_path / "project" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "below")
    assert Settings.find().folder == Path()
    (tmp_path / "project" / name).touch()
    assert Settings.find().folder == tmp_path / "project"
    (tmp_path / "all.yaml").write_text("namespace: all")
    monkeypatch.setenv("ARGOSY_SETTINGS", str(tmp_path / "all.yaml"))
    assert Settings.find().folder == tmp_path / "project"
    monkeypatch.chdir(tmp_path / "project")
    assert Settings.find().folder == Path()


def test_settings_above_what_a_command_names_hold_where_none_are_above_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "here/own", "one/flows", "two"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one/argosy.yaml").write_text("namespace: one\nsecrets: values.yaml\n")
    (tmp_path / "two/argosy.yaml").write_text("namespace: two\n")
    etl, other = tmp_path / "one/flows/etl.py", tmp_path / "two/x.py"
    etl.touch(), other.touch()
    monkeypatch.delenv("ARGOSY_SETTINGS", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    with beside(f"{etl}:etl", "a-built-in-name", "x" * 5000):
        found = Settings.find()
        assert (found.namespace, found.folder) == ("one", tmp_path / "one")
        assert found.secrets == tmp_path / "one/values.yaml"
    for names, said in (
        ((etl, other), "one/argosy.yaml' and '{tmp_path}/two/argosy.yaml' would hold for a part each"),
        ((etl, tmp_path / "here"), "one/argosy.yaml' would hold for a part; none is above {tmp_path}/here"),
    ):
        with beside(*map(str, names)), pytest.raises(UsageError) as refused:
            Settings.find()
        assert said.format(tmp_path=tmp_path) in str(refused.value)
        with beside(*map(str, names)), monkeypatch.context() as patched:
            patched.setenv("ARGOSY_SETTINGS", str(tmp_path / "two/argosy.yaml"))
            assert Settings.find().namespace == "two"
    (tmp_path / "here/argosy.yaml").write_text("namespace: here\n")
    monkeypatch.chdir(tmp_path / "here/own")
    with beside(str(etl)):
        assert Settings.find().namespace == "here"
    assert Settings.find().namespace == "here"
