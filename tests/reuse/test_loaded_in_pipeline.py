"""Components from a file, called in a pipeline and run on this machine."""

import subprocess
import sys
from pathlib import Path

import couler.argo as couler
import pytest

from argosy import compile, load_component, pipeline
from argosy.errors import ComposeError
from argosy.local import NullReporter, run_manifest

GREET = """\
name: greet
inputs:
- {name: who, type: String}
- {name: times, type: Integer, default: '2'}
- {name: mark, type: String, optional: true}
outputs:
- {name: text, type: String}
- {name: file, type: Artifact}
implementation:
  container:
    image: python:3.11
    command:
    - python
    - -c
    - |
      import sys
      text = sys.argv[1] * int(sys.argv[2]) + "".join(sys.argv[5:])
      for place in sys.argv[3:5]:
          open(place, "w").write(text)
    args:
    - {inputValue: who}
    - {inputValue: times}
    - {outputPath: text}
    - {outputPath: file}
    - if: {cond: {isPresent: mark}, then: [{inputValue: mark}]}
"""
LENGTH = """\
name: length
inputs: [{name: file, type: Artifact}]
outputs: [{name: count, type: Integer}]
implementation:
  container:
    image: python:3.11
    command: [python, -c, 'import sys; open(sys.argv[2], "w").write(str(len(open(sys.argv[1]).read())))']
    args: [{inputPath: file}, {outputPath: count}]
"""
greet, length = load_component(GREET), load_component(LENGTH)


@pipeline(name="loaded")
def loaded(who: str = "ab") -> None:
    """Two greetings, and how long the second one is."""
    first = greet(who=who)
    second = greet.options(name="again")(who=first.text, times=1, mark="!")
    couler.when(couler.equal(first.text, "abab"), lambda: length(file=second.file))


def test_each_set_of_given_inputs_has_a_template() -> None:
    templates = {t["name"]: t for t in compile(loaded)["spec"]["templates"]}
    assert list(templates) == ["main", "greet", "greet-2", "length"]
    assert "{{inputs.parameters.mark}}" not in templates["greet"]["container"]["args"]
    assert templates["greet-2"]["container"]["args"][-1] == "{{inputs.parameters.mark}}"
    assert [t["template"] for t in templates["main"]["dag"]["tasks"]] == ["greet", "greet-2", "length"]


def test_values_and_files_go_from_one_to_the_next(tmp_path: Path) -> None:
    result = run_manifest(
        compile(loaded), run_dir=tmp_path / "run", parameters={}, environment={}, reporter=NullReporter()
    )
    assert result.succeeded
    assert {n.name: n.outputs.parameters for n in result.nodes if n.kind == "Container"} == {
        "greet": {"text": "abab"},
        "again": {"text": "abab!"},
        "length": {"count": "5"},
    }


def test_types_are_checked_at_the_users_line() -> None:
    def program() -> None:
        greet(who="x", times="often")

    with pytest.raises(
        ComposeError, match=r"test_loaded_in_pipeline\.py:\d+: greet\(\): the input 'times' wants"
    ):
        compile(pipeline(name="p")(program))


PROGRAM = """
from typing import NamedTuple

from argosy import File, component, load_component, load_library, pipeline

length = load_component("{length}")
team = load_library("parts/team.yaml")
promote = team.promote


class Made(NamedTuple):
    data: File


@component(image="python:3.11")
def make() -> Made:
    "Make a file."
    open("data", "w").write("abc")
    return Made("data")


@pipeline()
def flow() -> None:
    "Make, then count."
    length(file=make().data)
"""
TEAM = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: team}
spec:
  templates:
  - name: promote
    container: {image: python:3.11, command: [python]}
"""


@pytest.mark.parametrize(
    ("place", "length_file", "here"),
    [
        ("flows/parts/length.yaml", "parts/length.yaml", "."),
        ("flows/parts/length.yaml", "parts/length.yaml", "elsewhere"),
        ("shared/length.yaml", "shared/length.yaml", "."),
    ],
)
def test_a_relative_path_is_one_from_the_file_that_names_it_and_no_step_reads_it(
    tmp_path: Path, place: str, length_file: str, here: str
) -> None:
    files = {place: LENGTH, "flows/parts/team.yaml": TEAM, "elsewhere/kept": ""}
    files["flows/k.py"] = PROGRAM.format(length=length_file)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "argosy", "run", str(tmp_path / "flows/k.py"), "--output", "json"]
    done = subprocess.run(command, cwd=tmp_path / here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"count": "3"' in done.stdout


def test_a_file_that_is_nowhere_is_named_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "k.py").write_text(PROGRAM.format(length="parts/length.yaml"))
    command = [sys.executable, "-m", "argosy", "compile", "k.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("argosy: k.py:6: cannot read 'parts/length.yaml': No such file")
