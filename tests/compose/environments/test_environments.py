"""Environments of argosy.yaml, laid over compiled pipelines."""

from pathlib import Path
from typing import Any

import couler.argo as couler
import pytest

from argosy import FromSecret, Resources, Scratch, SharedMemory, Toleration, compile, component, pipeline
from argosy.cli.environment import differences
from argosy.compose.settings import Settings
from argosy.errors import UsageError

IMAGE = "registry.example/steps:1"


@component(
    image=IMAGE,
    resources=Resources(cpu=("3", "4"), memory=("8Gi", "14Gi"), gpu=1),
    node_selector={"pool": "gpu", "zone": "a"},
    tolerations=[Toleration("nvidia.com/gpu")],
    volumes=[SharedMemory("2Gi"), Scratch("/scratch")],
    env={"LEVEL": "info", "TOKEN": FromSecret("registry", "token")},
    labels={"team": "vision"},
    security_context={"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
)
def train(dataset: str = "s3://prod/digits", epochs: int = 20) -> None:
    """Train."""


@component(image=IMAGE, template={"podSpecPatch": '{"hostNetwork": true}'})
def promote(threshold: float = 0.9) -> None:
    """Judge."""


@pipeline(spec={"archiveLogs": False})
def learn(dataset: str = "s3://prod/digits", epochs: int = 20) -> None:
    """Train, then judge."""
    couler.set_dependencies(lambda: train(dataset=dataset, epochs=epochs), dependencies=None)
    promote()


@pipeline
def learn_twice(dataset: str = "s3://prod/digits") -> None:
    """Train in two ways."""
    couler.dag(
        [
            [lambda: couler_named("first", dataset)],
            [lambda: couler_named("second", dataset)],
        ]
    )


@component(image=IMAGE, template={"retryStrategy": {"limit": "abc"}})
def odd() -> None:
    """Try again, an odd number of times."""


@pipeline
def retry_oddly() -> None:
    """Try again."""
    odd()


def couler_named(name: str, dataset: str) -> None:
    """One more training, as a task of this name."""
    train.options(name=name)(dataset=dataset)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that holds the pipelines of this file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project.py").write_text(Path(__file__).read_text())


def settings(folder: Path, environment: str, top: str = "", name: str = "dev") -> Settings:
    """The settings of a file with one environment, whose text is indented by four spaces."""
    file = folder / "argosy.yaml"
    file.write_text(f"{top}\nenvironments:\n  prod: {{}}\n  dev:\n{environment}\n")
    return Settings.load(file, name)


def compiled(folder: Path, environment: str, top: str = "", of: Any = learn) -> dict[str, Any]:
    manifest: dict[str, Any] = compile(of, settings=settings(folder, environment, top))
    return manifest


def template(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(t for t in manifest["spec"]["templates"] if t["name"] == name)
    return found


def test_an_empty_value_removes_and_a_gpu_of_none_leaves_cpu_and_memory(tmp_path: Path) -> None:
    over = "    components: {train: {resources: {gpu: 0}, nodeSelector: {}, tolerations: []}}"
    step = template(compiled(tmp_path, over), "train")
    assert "nodeSelector" not in step and "tolerations" not in step
    assert step["container"]["resources"] == {
        "requests": {"cpu": "3", "memory": "8Gi"},
        "limits": {"cpu": "4", "memory": "14Gi"},
    }


def test_mappings_are_merged_and_lists_of_names_by_name(tmp_path: Path) -> None:
    over = """
    components:
      train:
        resources: {cpu: 2, memory: [1Gi, 4Gi]}
        nodeSelector: {zone: b}
        labels: {stage: dev}
        securityContext: {readOnlyRootFilesystem: true}
        podSecurityContext: {fsGroup: 5}
        env: {LEVEL: debug, TOKEN: {secret: other, key: t}, PORT: 8080, QUIET: on, N: {field: metadata.name}}
        volumes: {scratch: {persistentVolumeClaim: {claimName: scratch}}, ca: {configMap: {name: ca}}}
        volumeMounts: [{mountPath: /etc/ca, name: ca, readOnly: true}]
"""
    step = template(compiled(tmp_path, over), "train")
    container = step["container"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "1Gi"}
    assert step["nodeSelector"] == {"pool": "gpu", "zone": "b"}
    assert step["metadata"]["labels"] == {"team": "vision", "stage": "dev"}
    assert container["securityContext"] == {
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert step["securityContext"] == {"fsGroup": 5}
    assert container["env"] == [
        {"name": "LEVEL", "value": "debug"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "other", "key": "t"}}},
        {"name": "PORT", "value": "8080"},
        {"name": "QUIET", "value": "true"},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    assert step["volumes"] == [
        {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
        {"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}},
        {"name": "ca", "configMap": {"name": "ca"}},
    ]
    assert [m["mountPath"] for m in container["volumeMounts"]] == ["/dev/shm", "/scratch", "/etc/ca"]


def test_a_volume_a_mount_and_a_variable_are_removed_by_name(tmp_path: Path) -> None:
    over = """
    components:
      train: {volumes: {dshm: {}}, volumeMounts: {/dev/shm: null}, env: {LEVEL: "", TOKEN: null}}
"""
    step = template(compiled(tmp_path, over), "train")
    assert [v["name"] for v in step["volumes"]] == ["scratch"]
    assert [m["name"] for m in step["container"]["volumeMounts"]] == ["scratch"]
    assert "env" not in step["container"]


def test_fields_of_the_pod_go_into_its_patch_beside_the_steps_own(tmp_path: Path) -> None:
    over = """
    components:
      "*": {dnsPolicy: ClusterFirstWithHostNet}
      promote: {hostNetwork: null}
      train: {hostNetwork: true}
"""
    manifest = compiled(tmp_path, over)
    assert template(manifest, "promote")["podSpecPatch"] == '{"dnsPolicy":"ClusterFirstWithHostNet"}'
    patch = '{"dnsPolicy":"ClusterFirstWithHostNet","hostNetwork":true}'
    assert template(manifest, "train")["podSpecPatch"] == patch


def test_an_exact_name_wins_over_a_pattern_wherever_it_stands(tmp_path: Path) -> None:
    over = '    components: {train: {imagePullPolicy: Never}, "*": {imagePullPolicy: Always}}'
    manifest = compiled(tmp_path, over)
    policies = [template(manifest, n)["container"]["imagePullPolicy"] for n in ("train", "promote")]
    assert policies == ["Never", "Always"]


def test_a_pipelines_components_and_steps_win_over_those_of_all(tmp_path: Path) -> None:
    over = """
    components: {train: {imagePullPolicy: Always, labels: {team: all}}}
    pipelines:
      learn:
        components: {train: {imagePullPolicy: Never}}
        steps: {tr*: {labels: {team: step}}}
        parameters: {epochs: 3}
      learn-twice: {parameters: {dataset: "s3://dev/other"}}
"""
    manifest = compiled(tmp_path, over)
    step = template(manifest, "train")
    assert (step["container"]["imagePullPolicy"], step["metadata"]["labels"]["team"]) == ("Never", "step")
    values = {p["name"]: p["value"] for p in manifest["spec"]["arguments"]["parameters"]}
    assert values == {"dataset": "s3://prod/digits", "epochs": "3"}


def test_a_step_gets_a_template_of_its_own_where_others_share_it(tmp_path: Path) -> None:
    over = "    pipelines: {learn-twice: {steps: {second: {resources: {gpu: 0}}}}}"
    manifest = compiled(tmp_path, over, of=learn_twice)
    tasks = {t["name"]: t["template"] for t in manifest["spec"]["templates"][0]["dag"]["tasks"]}
    assert tasks == {"first": "train", "second": "train-second"}
    limits = [template(manifest, t)["container"]["resources"]["limits"] for t in tasks.values()]
    assert ["nvidia.com/gpu" in each for each in limits] == [True, False]


def test_parameters_reach_the_workflow_and_those_who_call_its_template(tmp_path: Path) -> None:
    over = "    parameters: {dataset: s3://dev/digits, epochs: 3}"
    spec = compiled(tmp_path, over)["spec"]
    for place in (spec["arguments"], spec["templates"][0]["inputs"]):
        assert {p["name"]: p["value"] for p in place["parameters"]} == {
            "dataset": "s3://dev/digits",
            "epochs": "3",
        }


@pytest.mark.parametrize("empty", ["null", "''"])
def test_an_empty_name_takes_the_settings_away(tmp_path: Path, empty: str) -> None:
    top = "\nnamespace: settings\nserviceAccountName: settings\n"
    over = f"    namespace: {empty}\n    serviceAccountName: {empty}\n"
    kept, bare = (compile(learn, settings=settings(tmp_path, over, top, name)) for name in ("prod", "dev"))
    assert (kept["metadata"]["namespace"], kept["spec"]["serviceAccountName"]) == ("settings", "settings")
    assert "namespace" not in bare["metadata"]
    assert "serviceAccountName" not in bare["spec"]


def test_the_order_is_code_settings_environment(tmp_path: Path) -> None:
    top = """
namespace: settings
serviceAccountName: settings
images: {registry.example/: settings.example/}
parameters: {dataset: "s3://settings/digits", epochs: 7}
components: {train: {imagePullPolicy: Never, labels: {team: settings}}}
"""
    over = """
    namespace: dev
    images: {registry.example/: dev.example/}
    workflow: {archiveLogs: true}
    parameters: {epochs: 3}
    components: {train: {imagePullPolicy: Always}}
"""
    code, fixed = compile(learn), compile(learn, settings=settings(tmp_path, over, top, "prod"))
    dev = compile(learn, settings=settings(tmp_path, over, top))

    def seen(manifest: dict[str, Any]) -> tuple[Any, ...]:
        spec, step = manifest["spec"], template(manifest, "train")
        return (
            manifest["metadata"].get("namespace"),
            spec.get("serviceAccountName"),
            step["container"]["image"],
            [p["value"] for p in spec["arguments"]["parameters"]],
            step["container"]["imagePullPolicy"],
            step["metadata"]["labels"]["team"],
            spec["archiveLogs"],
        )

    digits = "s3://settings/digits"
    assert seen(code) == (None, None, IMAGE, ["s3://prod/digits", "20"], "IfNotPresent", "vision", False)
    assert seen(fixed) == (
        "settings",
        "settings",
        "settings.example/steps:1",
        [digits, "7"],
        "Never",
        "settings",
        False,
    )
    assert seen(dev) == ("dev", "settings", "dev.example/steps:1", [digits, "3"], "Always", "settings", True)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (
            "components: {trian: {}}",
            r":5: environments.dev.components.trian: no component 'trian'; did you mean 'train'",
        ),
        ("components: {'zz*': {}}", "no component 'zz*'"),
        (
            "components: {train: {nodSelector: {}}}",
            "a step has no field 'nodSelector'; did you mean 'nodeSelector'",
        ),
        ("components: {train: {container: {}}}", "a step has no field 'container'"),
        ("components: {train: {securityContext: {runAsRoot: true}}}", "unknown field 'runAsRoot'"),
        (
            "components: {train: {imagePullPolicy: Sometimes}}",
            "'Sometimes' is none of Always, IfNotPresent, Never",
        ),
        ("components: {train: {resources: {cpu: much}}}", "'much' is not a quantity"),
        ("components: {train: {resources: {gpus: 1}}}", "unknown resource 'gpus'; did you mean 'gpu'"),
        ("components: {train: {resources: {gpu: -1}}}", "-1 is not a number of GPUs"),
        ("components: {train: {resources: {cpu: -1}}}", "-1 is negative"),
        ("components: {train: {resources: {memory: -4Gi}}}", "'-4Gi' is negative"),
        ("components: {train: {env: {A: {secrt: s}}}}", "a variable is a text, {secret: NAME, key: KEY}"),
        ("components: {train: {volumes: [{emptyDir: {}}]}}", "volumes[0].name: is missing"),
        ("components: {train: {nodeSelector: {gpu: true}}}", "true is not a text; put it into quotes"),
        ("components: {train: {hostNetwork: 'yes'}}", "'yes' is not true or false"),
        ("components: {train: 5}", "the fields of a step are a mapping"),
        ("parameters: {datset: x}", "no pipeline has a parameter 'datset'; did you mean 'dataset'"),
        ("parameters: {epochs: many}", "parameters.epochs: parameter 'epochs': 'many' is not a whole number"),
        ("parameters: {epochs: '007'}", "parameters.epochs: parameter 'epochs' is '007' here; write '7'"),
        ("parameters: {epochs: null}", "is not a value"),
        ("parameters: {dataset: 'http://me:secret@host'}", "holds a password"),
        ("pipelines: {lern: {}}", "no pipeline 'lern'; did you mean 'learn'"),
        ("pipelines: {learn: {steps: {tain: {}}}}", "no step 'tain'; did you mean 'train'"),
        ("pipelines: {learn: {components: {rollback: {}}}}", "no component 'rollback'"),
        ("pipelines: {learn: {parameters: {triton-url: x}}}", "the pipeline has no parameter 'triton-url'"),
        ("pipelines: {learn: {namespace: x}}", "unknown key 'namespace'"),
        ("workflow: {hostNetwrk: true}", "unknown field 'hostNetwrk'; did you mean 'hostNetwork'"),
        ("workflow: {templates: []}", "'templates' is said by 'components'"),
        ("componets: {}", "unknown key 'componets'; did you mean 'components'"),
        ("namespace: Ünï", "'Ünï' is not a name of lowercase letters"),
        ("namespace: a.b", "'a.b' is not a name of lowercase letters, digits and '-'"),
        ("serviceAccountName: a..b", "'a..b' is not a name of lowercase letters, digits, '-' and '.'"),
        ("namespace: [a]", "['a'] is not a name"),
    ],
)
def test_an_override_that_means_nothing_is_an_error_at_its_line(
    tmp_path: Path, over: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        compiled(tmp_path, f"    {over}")
    assert message in str(caught.value)
    assert str(tmp_path / "argosy.yaml") in str(caught.value)


FAULTS = [
    ("image: ''", "image", "has no image. Add 'image:'"),
    ("retryStrategy: {limit: 1, retryPolicy: Foo}", "retryStrategy.retryPolicy", "'Foo' is unknown"),
    ("retryStrategy: {limit: abc}", "retryStrategy.limit", "'abc' is not a whole number"),
    (
        "retryStrategy: {backoff: {duration: zzz}}",
        "retryStrategy.backoff.duration",
        "'zzz' is not a duration",
    ),
    ("resources: {cpu: [2, 1]}", "resources.cpu", "the request of cpu, 2, is above its limit, 1"),
    ("resources: {cpu: .inf}", "resources.cpu", "'inf' is not a quantity"),
    ("resources: {requests: {cpu: much}}", "resources.requests.cpu", "'much' is not a quantity"),
    ("activeDeadlineSeconds: -5", "activeDeadlineSeconds", "'-5' is no positive number of seconds"),
    ("activeDeadlineSeconds: .nan", "activeDeadlineSeconds", "is no number that Argo can read"),
    ("volumeMounts: {/x: {name: none}}", "volumeMounts./x.name", "volume 'none' is not declared"),
    ("volumes: {dshm: {}}", "volumes.dshm", "volume 'dshm' is not declared"),
    ("synchronization: {mutexes: [{name: ''}]}", "synchronization.mutexes[0].name", "a mutex has no name"),
    ("podSpecPatch: 'a: ['", "podSpecPatch", "the podSpecPatch is not a mapping"),
    ("env: {A: '{{inputs.parameters.none}}'}", "env.A", "'{{inputs.parameters.none}}' is not an input of"),
    ("env: {A: {secret: 5, key: k}}", "env.A.valueFrom.secretKeyRef.name", "5 is not a text"),
    ("labels: {x: 'bad value!'}", "labels.x", "'bad value!' is no value of a label"),
    ("serviceAccountName: Bad_Name", "serviceAccountName", "'Bad_Name' is not a name"),
    ("retryPolicy: Always", "retryPolicy", "no field 'retryPolicy'; it stands under 'retryStrategy'"),
]


@pytest.mark.parametrize(("field", "path", "message"), FAULTS)
@pytest.mark.parametrize(
    ("before", "place"),
    [
        (
            "environments:\n  dev:\n    components:\n      train:\n        nodeSelector: {}",
            "components.train",
        ),
        ("environments:\n  dev:\n    pipelines:\n      learn:\n        steps:\n          '*':", "steps.*"),
    ],
)
def test_what_a_step_cannot_be_given_is_told_at_its_line(
    tmp_path: Path, before: str, place: str, field: str, path: str, message: str
) -> None:
    file = tmp_path / "argosy.yaml"
    indent = " " * (8 if place == "components.train" else 12)
    file.write_text(f"{before}\n{indent}{field}\n{indent}priorityClassName: low\n")
    with pytest.raises(UsageError) as caught:
        compile(learn, settings=Settings.load(file, "dev"))
    line = before.count("\n") + 2
    assert str(caught.value).startswith(f"{file}:{line}: environments.dev.")
    assert f"{place}.{path}: " in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\ncomponents: {train: {image: ''}}", "2: components.train.image: ARG501"),
        ("images:\n  registry.example/: 'No Name'", "2: images.registry.example/: ARG513"),
        ("\nimages: {registry.example/: 5}", "2: images.registry.example/: 5 is not a text"),
        ("workflow:\n  fooBar: 1", "2: workflow.fooBar: unknown field 'fooBar'"),
        ("workflow:\n  templates: []", "2: workflow.templates: 'templates' is said by the program"),
        ("workflow:\n  retryStrategy:\n    limit: abc", "3: workflow.retryStrategy.limit: ARG622"),
        ("templateDefaults:\n  fooBar: 1", "2: templateDefaults.fooBar: unknown field 'fooBar'"),
        ("\nparameters: {dataset: 1.10}", "2: parameters.dataset: 1.10 is read as 1.1; put it into quotes"),
        ("\nparameters: {dataset: yes}", "2: parameters.dataset: yes is read as true; put it into quotes"),
        ("\nparameters: {dataset: .inf}", "2: parameters.dataset: .inf is not a value"),
        (
            "environments:\n  dev:\n    workflow:\n      podGC: {strategy: Foo}",
            "4: environments.dev.workflow.",
        ),
        (
            "components: {train: {image: ''}}\nenvironments:\n  dev:\n    components: {tr*: {image: ''}}",
            "1: components.train.image: ARG501",
        ),
    ],
)
def test_what_the_settings_break_is_told_at_their_line(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "argosy.yaml"
    file.write_text(text if "dev:" in text else f"{text}\nenvironments: {{dev: {{}}}}")
    with pytest.raises(UsageError) as caught:
        compile(learn, settings=Settings.load(file, "dev"))
    assert str(caught.value).startswith(f"{file}:{place}")


def test_a_number_in_env_is_written_as_it_stands(tmp_path: Path) -> None:
    over = "    components: {train: {env: {A: 1.10, B: 010, C: 1e3, D: 1_000, E: 12:30}}}"
    found = {
        e["name"]: e.get("value") for e in template(compiled(tmp_path, over), "train")["container"]["env"]
    }
    assert {name: found[name] for name in "ABCDE"} == {
        "A": "1.10",
        "B": "010",
        "C": "1e3",
        "D": "1_000",
        "E": "12:30",
    }


def test_what_the_program_gets_wrong_is_not_the_settings_fault(tmp_path: Path) -> None:
    over = "    components: {'*': {imagePullPolicy: Never}}"
    assert compiled(tmp_path, over, of=retry_oddly)["spec"]["templates"]


def test_a_key_of_a_merged_mapping_is_found_where_it_stands(tmp_path: Path) -> None:
    over = """
    components:
      train: &all
        image: ""
      promote:
        <<: *all
"""
    with pytest.raises(UsageError, match=r"argosy.yaml:8: environments.dev.components.promote.image: ARG501"):
        compiled(tmp_path, over)


def test_what_another_pipeline_of_the_project_has_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "import argosy\n\n@argosy.component(image='x')\ndef clean_up(): pass\n\n"
        "@argosy.pipeline(name='tidy')\ndef tidying(bucket: str): clean_up.options(name='sweep')()\n"
    )
    over = """
    components: {clean-up: {}, sweep: {}, rollback: {}}
    parameters: {bucket: b, triton-url: http://t}
    pipelines: {tidy: {}, rollback-model: {}}
"""
    assert compiled(tmp_path, over) == compile(learn)


def test_an_environment_of_no_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no environment 'prd'; did you mean 'prod'"):
        settings(tmp_path, "    {}", name="prd")


def test_a_mistake_in_an_environment_that_is_not_asked_for_is_found_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"argosy.yaml:5: environments.dev.*no field 'x'"):
        settings(tmp_path, "    components: {train: {x: 1}}", name="prod")


def test_without_an_environment_nothing_changes(tmp_path: Path) -> None:
    settings(tmp_path, "    namespace: dev")
    assert compile(learn, settings=Settings.load(tmp_path / "argosy.yaml")) == compile(learn)


def test_a_cron_workflows_inner_spec_is_meant(tmp_path: Path) -> None:
    one = settings(tmp_path, "    {workflow: {priority: 3}, components: {'*': {imagePullPolicy: Always}}}")
    manifest = {**compile(learn), "kind": "CronWorkflow"}
    manifest["spec"] = {"schedules": ["0 3 * * *"], "workflowSpec": manifest["spec"]}
    changed = one.over(manifest)
    assert changed["spec"]["workflowSpec"]["priority"] == 3
    assert changed["spec"]["schedules"] == ["0 3 * * *"]


def test_differences_name_entries_and_both_values(tmp_path: Path) -> None:
    before = compile(learn)
    after = compiled(tmp_path, "    components: {train: {env: {LEVEL: debug}, tolerations: []}}")
    found = {path: (a, b) for path, a, b in differences(before, after)}
    assert found["spec.templates[train].container.env[LEVEL].value"] == ("info", "debug")
    assert found["spec.templates[train].tolerations[0].key"][0] == "nvidia.com/gpu"
    assert differences(before, before) == []


def test_a_step_with_a_template_of_its_own_differs_by_what_is_laid_over_it(tmp_path: Path) -> None:
    over = "    pipelines: {learn-twice: {steps: {second: {activeDeadlineSeconds: 60}}}}"
    before, after = compile(learn_twice), compiled(tmp_path, over, of=learn_twice)
    expected = [
        ("spec.templates[main].dag.tasks[second].template", "train", "train-second"),
        ("spec.templates[train-second].activeDeadlineSeconds", ..., 60),
    ]
    assert differences(before, after) == expected
    assert differences(after, before) == [(path, b, a) for path, a, b in expected]
