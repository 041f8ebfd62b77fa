"""`memoize`: what Argo's controller remembers in a ConfigMap, remembered in the state folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argosy.local import WorkflowResult
from argosy.local.runs.cache import StepCache
from tests.local.conftest import Run, node, phases

Remember = Callable[..., WorkflowResult]

SPEC = """
arguments: {{parameters: [{{name: who, value: ada}}]}}
templates:
- name: main
  dag:
    tasks:
    - name: a
      template: leaf
      arguments: {{parameters: [{{name: who, value: "{{{{workflow.parameters.who}}}}"}}]}}
    - name: b
      depends: a
      template: echo
      arguments: {{parameters: [{{name: m, value: "{{{{tasks.a.outputs.result}}}}"}}]}}
- name: leaf
  memoize: {{key: "{key}", {age}cache: {{configMap: {{name: {cache}}}}}}}
  inputs: {{parameters: [{{name: who}}]}}
  outputs:
    parameters: [{{name: p, valueFrom: {{path: /tmp/p}}}}]
    artifacts: [{{name: f, path: /tmp/f}}]
  container:
    image: x
    command: [sh, -c, 'echo {text}; echo made > /tmp/f; echo $1 > /tmp/p; {ends}', sh]
    args: ["{{{{inputs.parameters.who}}}}"]
"""


def spec(
    key: str = "of-{{inputs.parameters.who}}",
    age: str = "",
    cache: str = "c",
    text: str = "one",
    ends: str = "true",
) -> str:
    return SPEC.format(key=key, age=f"maxAge: {age}, " if age else "", cache=cache, text=text, ends=ends)


@pytest.fixture
def remember(run: Run, tmp_path: Path) -> Remember:
    """Runs a spec as the next run of one state folder."""
    count = iter(range(9))

    def start(text: str, **given: Any) -> WorkflowResult:
        name = f"r{next(count)}"
        cache = StepCache(tmp_path, name, tmp_path / "runs" / name, {}, ())
        return run(text, folder=f"runs/{name}", reuse=cache, **given)

    return start


def test_a_hit_gives_the_remembered_outputs_whatever_the_template_does_now(remember: Remember) -> None:
    remember(spec(text="first"))
    again = remember(spec(text="second"))
    assert phases(again) == {"a": "Succeeded", "b": "Succeeded"}
    hit = node(again, "a")
    assert (hit.reused, hit.outputs.result, hit.outputs.parameters) == ("r0", "first", {"p": "ada"})
    assert (again.run_dir / hit.outputs.artifacts["f"]).read_text() == "made\n"
    assert node(again, "b").outputs.parameters == {"out": "first"}


@pytest.mark.parametrize(
    ("second", "parameters"),
    [(spec(cache="other"), {}), (spec(key="else"), {}), (spec(), {"who": "bob"})],
    ids=["cache", "key", "input"],
)
def test_another_cache_or_key_is_a_miss(remember: Remember, second: str, parameters: dict[str, str]) -> None:
    remember(spec())
    assert node(remember(second, parameters=parameters), "a").reused is None


def test_what_failed_is_not_remembered(remember: Remember) -> None:
    assert phases(remember(spec(ends="exit 1")))["a"] == "Failed"
    assert node(remember(spec()), "a").reused is None


@pytest.mark.parametrize(("age", "reused"), [("10s", None), ("24h", "r0")])
def test_an_entry_older_than_max_age_is_a_miss(
    remember: Remember, tmp_path: Path, age: str, reused: str | None
) -> None:
    remember(spec(age=age))
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "made": time.time() - 60}))
    assert node(remember(spec(age=age)), "a").reused == reused


@pytest.mark.parametrize(
    ("text", "says"),
    [(spec(key="a_b"), "'a_b' is no key"), (spec(age="soon"), "'soon' is not a duration")],
)
def test_a_key_or_age_that_argo_refuses_is_an_error(remember: Remember, text: str, says: str) -> None:
    result = remember(text)
    assert phases(result)["a"] == "Error"
    assert says in node(result, "a").message


def test_steps_are_remembered_as_a_whole(remember: Remember) -> None:
    text = """
templates:
- name: main
  steps: [[{name: outer, template: inner}]]
- name: inner
  memoize: {key: whole, cache: {configMap: {name: c}}}
  outputs:
    parameters: [{name: out, valueFrom: {parameter: "{{steps.a.outputs.parameters.out}}"}}]
    artifacts: [{name: f, from: "{{steps.b.outputs.artifacts.f}}"}]
  steps: [[{name: a, template: echo}, {name: b, template: file}]]
- name: file
  outputs: {artifacts: [{name: f, path: /tmp/f}]}
  container: {image: x, command: [touch, /tmp/f]}
"""
    assert phases(remember(text)) == dict.fromkeys(("outer", "outer.a", "outer.b"), "Succeeded")
    again = remember(text)
    assert phases(again) == {"outer": "Succeeded"}
    assert node(again, "outer").outputs.parameters == {"out": "nothing"}
