"""`--env` and `argosy env` as commands: every command means the same environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from argosy.compose.loader import load_pipeline
from argosy.manifest.parts import spec_of
from argosy.stack.kind import IMAGE_CLASSIFICATION
from tests.documents import hold

ARGOSY = Path(sys.executable).with_name("argosy")
COULER = ARGOSY.with_name("couler")
PROGRAM = """
from argosy import component, pipeline

@component(image="example/steps:1")
def say(text: str) -> None:
    '''Say it.'''
    print(text)

if __name__ == "__main__":
    say.main()

@pipeline()
def greet(who: str = "code"):
    say(text=who)
"""
SETTINGS = """
namespace: settings
environments:
  prod: {}
  dev:
    namespace: ml-dev
    parameters: {who: dev}
    components: {say: {labels: {stage: dev}, hostNetwork: true}}
"""


def call(
    folder: Path, *words: str | Path, program: Path = ARGOSY, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("ARGOSY_ENV", "ARGOSY_SETTINGS")}
    return subprocess.run(
        [program, *words],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with two environments."""
    (tmp_path / "hello.py").write_text(PROGRAM)
    (tmp_path / "argosy.yaml").write_text(SETTINGS)
    return tmp_path


def test_compile_takes_it_from_the_option_then_from_the_variable(folder: Path) -> None:
    assert "namespace: ml-dev" in call(folder, "compile", "hello.py", "--env", "dev").stdout
    assert "namespace: ml-dev" in call(folder, "compile", "hello.py", ARGOSY_ENV="dev").stdout
    assert (
        "namespace: settings" in call(folder, "compile", "hello.py", "--env", "prod", ARGOSY_ENV="dev").stdout
    )


def test_the_command_line_wins_over_the_environment(folder: Path) -> None:
    words = ("submit", "hello.py", "--env", "dev", "--dry-run")
    plain = call(folder, *words).stdout
    assert "namespace: ml-dev" in plain and "value: dev" in plain
    named = call(folder, *words, "-n", "mine", "-p", "who=me").stdout
    assert (
        "namespace: mine" in named
        and "value: me" in named
        and "value: dev" not in named.partition("templates")[0]
    )


def test_a_run_takes_the_environments_values_and_the_command_lines_over_them(folder: Path) -> None:
    for words, said in (((), "dev"), (("-p", "who=me"), "me")):
        done = call(folder, "run", "hello.py", "--env", "dev", "--output", "json", *words)
        assert done.returncode == 0, done.stderr
        step = next(n for n in json.loads(done.stdout)["nodes"] if n["template"] == "say")
        assert step["inputs"]["parameters"] == {"text": said}


def test_a_compiled_file_is_submitted_drawn_and_linted_in_it(folder: Path) -> None:
    call(folder, "compile", "hello.py", "-o", ".", "--kind", "Workflow")
    assert "stage: dev" in call(folder, "submit", "greet.yaml", "--env", "dev", "--dry-run").stdout
    assert call(folder, "graph", "greet.yaml", "--env", "dev").returncode == 0
    done = call(folder, "graph", "greet.yaml", "--env", "de")
    assert (done.returncode, done.stderr) == (
        2,
        "argosy: argosy.yaml: there is no environment 'de'; did you mean 'dev'?\n",
    )


def test_a_finding_that_an_environment_makes_is_at_the_files_line(folder: Path) -> None:
    call(folder, "compile", "hello.py", "-o", ".", "--kind", "Workflow")
    mount = "    components: {say: {volumeMounts: {/x: {name: none}}}}"
    (folder / "argosy.yaml").write_text(f"environments:\n  dev:\n{mount}\n")
    lines = (folder / "greet.yaml").read_text().splitlines()
    line = lines.index("      volumeMounts:") + 2  # its first entry
    words = ("lint", "greet.yaml", "--strict", "--select", "ARG507")
    assert call(folder, *words).returncode == 0
    done = call(folder, *words, "--env", "dev")
    assert done.returncode == 1
    assert done.stdout.startswith(f"greet.yaml:{line}:")


@pytest.mark.parametrize(
    "words",
    [
        ("compile", "hello.py"),
        ("submit", "hello.py", "--dry-run"),
        ("submit", "greet.yaml", "--dry-run"),
        ("run", "greet.yaml"),
        ("graph", "hello.py"),
    ],
)
def test_what_an_environment_breaks_is_told_at_its_line(folder: Path, words: tuple[str, ...]) -> None:
    call(folder, "compile", "hello.py", "-o", ".", "--kind", "Workflow")
    over = "    components:\n      say:\n        volumeMounts: {/x: {name: none}}"
    (folder / "argosy.yaml").write_text(f"environments:\n  dev:\n{over}\n")
    done = call(folder, *words, "--env", "dev")
    place = "argosy.yaml:5: environments.dev.components.say.volumeMounts./x.name"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"argosy: {place}: ARG507 volume 'none' is not declared. Add it to 'volumes:'.\n")


def test_a_couler_program_takes_it(folder: Path) -> None:
    program = (
        "import couler.argo as couler\ncouler.run_container(image='x', command=['true'], step_name='say')\n"
    )
    (folder / "raw.py").write_text(program)
    done = call(folder, "run", "raw.py", "--env", "dev", "--dry-run", program=COULER)
    assert "namespace: ml-dev" in done.stdout and "stage: dev" in done.stdout
    (folder / "argosy.yaml").write_text("environments: {dev: {components: {say: {image: ''}}}}")
    done = call(folder, "run", "raw.py", "--env", "dev", "--dry-run", program=COULER)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("couler: argosy.yaml:1: environments.dev.components.say.image: ARG501")


def test_env_diff_shows_each_field_with_both_values(folder: Path) -> None:
    done = call(folder, "env", "diff", "prod", "dev", "hello.py")
    assert 'metadata.namespace\n  prod: "settings"\n  dev: "ml-dev"\n' in done.stdout
    assert 'spec.templates[say].metadata.labels.stage\n  prod: (not set)\n  dev: "dev"\n' in done.stdout
    rows = hold("env-diff", call(folder, "env", "diff", "prod", "dev", "hello.py", "--output", "json").stdout)
    assert {"path": "metadata.namespace", "before": "settings", "after": "ml-dev"} in rows
    assert call(folder, "env", "diff", "dev", "dev", "hello.py").stdout == ""


def test_an_empty_name_is_no_environment(folder: Path) -> None:
    for words in (("compile", "hello.py", "--env", ""), ("env", "diff", "", "dev", "hello.py")):
        done = call(folder, *words, ARGOSY_ENV="dev")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "namespace: settings" in call(folder, "compile", "hello.py", ARGOSY_ENV="").stdout


def test_an_environment_without_settings_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(PROGRAM)
    done = call(tmp_path, "compile", "hello.py", "--env", "dev")
    assert (done.returncode, done.stderr) == (
        2,
        "argosy: there is no environment 'dev': there is no 'argosy.yaml'\n",
    )


CLOUD = {
    port.argo_name: port.comparable_default
    for port in load_pipeline("pipeline-image-classification").interface.inputs
    if port.argo_name in (*IMAGE_CLASSIFICATION.parameters, *IMAGE_CLASSIFICATION.beside)
    and port.comparable_default
}
"""Where the program has servers, buckets and data."""


@pytest.mark.parametrize("name", ["prod", "dev", "kind"])
def test_the_examples_environments_compile_and_lint_for_the_whole_system(
    repository: Path, tmp_path: Path, name: str
) -> None:
    examples = repository / "examples" / "environments"
    done = call(examples, "compile", "--env", name, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    linted = call(examples, "lint", tmp_path, "--ignore", "ARG510")
    assert linted.returncode == 0, linted.stdout
    files = [file.read_text() for file in tmp_path.iterdir()]
    assert len(files) > 10
    needs_gpu = ["nvidia.com/gpu" in f or "nodeSelector" in f for f in files]
    assert any(needs_gpu) is (name == "prod")
    # Of an environment without the cloud, nothing is where the cloud has it.
    specs = [spec_of(yaml.safe_load(text)) for text in files]
    given = {p["name"]: p.get("value") for s in specs for p in s.get("arguments", {}).get("parameters", ())}
    clouds = {n: v for n, v in CLOUD.items() if given[n] == v} | {f: "" for f in files if "amazonaws" in f}
    assert bool(clouds) is (name == "prod"), clouds
    with_steps = [f for f in files if "container:" in f]
    assert all("AWS_ENDPOINT_URL_S3" in f for f in with_steps) is (name != "prod")


SECRET = """
from typing import NamedTuple
from argosy import FromSecret, component, pipeline

class Said(NamedTuple):
    text: str

@component(image="python:3.11", env={"WORD": FromSecret("words", "word")})
def say() -> Said:
    "Say it."
    import os
    return Said(os.environ["WORD"])

@pipeline()
def etl() -> None:
    "Say it."
    say()
"""


def test_a_command_takes_the_settings_above_the_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "proj/flows").mkdir(parents=True), (tmp_path / "here").mkdir()
    (tmp_path / "proj/argosy.yaml").write_text("namespace: theirs\nsecrets: values.yaml\n")
    (tmp_path / "proj/values.yaml").write_text("secrets: {words: {word: sesame}}\n")
    file = tmp_path / "proj/flows/etl.py"
    file.write_text(SECRET)
    ignored = ("ARGOSY_ENV", "ARGOSY_SETTINGS", "ARGOSY_STATE_DIR")
    environment = {k: v for k, v in os.environ.items() if k not in ignored}

    def said(*words: str) -> str:
        done = subprocess.run(
            [ARGOSY, *words],
            cwd=tmp_path / "here",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "  namespace: theirs\n" in said("compile", str(file))
    assert "  namespace: theirs\n" in said("submit", str(file), "--dry-run")
    run = Path(json.loads(said("run", str(file), "--output", "json"))["runDir"]).name
    assert "sesame" in said("rerun", run, "--from", "say", "--output", "json")
    assert "sesame" in said("run", "--resume", run, "--output", "json")
    assert (tmp_path / "here/.argosy").is_dir() and not (tmp_path / "proj/.argosy").exists()
