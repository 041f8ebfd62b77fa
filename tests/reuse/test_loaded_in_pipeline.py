"""Components from a file, called in a pipeline and run on this machine."""

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
