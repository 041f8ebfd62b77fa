"""Container sets: several programs of one pod, in the order of their dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from argosy.errors import ManifestError
from tests.local.conftest import Run, log, node, phases

SET = """
templates:
- name: main
  steps:
  - - {{name: a, template: set}}
  - - name: b
      template: echo
      arguments:
        parameters:
        - {{name: m, value: "{{{{steps.a.outputs.parameters.all}}}} {{{{steps.a.outputs.result}}}}"}}
- name: set
  volumes: [{{name: w, emptyDir: {{}}}}]
  outputs: {{parameters: [{{name: all, valueFrom: {{path: /w/all}}}}]}}
  {retry}
  containerSet:
    volumeMounts: [{{name: w, mountPath: /w}}]
    {set}
    containers:
    - {{name: first, image: x, command: [sh, -c, 'echo hello; {first}']}}
    - {{name: second, image: x, command: [sh, -c, 'echo 2 >> /w/all'], dependencies: [first]}}
    - {{name: main, image: x, command: [sh, -c, 'echo 3 >> /w/all; echo done'], dependencies: [second]}}
"""


def filled(first: str = "echo 1 >> /w/all", retry: str = "", of_set: str = "") -> str:
    return SET.format(first=first, retry=retry, set=of_set)


def test_containers_run_in_the_order_of_their_dependencies_and_main_gives_the_outputs(run: Run) -> None:
    result = run(filled())
    assert phases(result) == dict.fromkeys(["a", "a.first", "a.second", "a.main", "b"], "Succeeded")
    assert (node(result, "a").kind, node(result, "a.main").kind) == ("ContainerSet", "Container")
    assert {n.parent for n in result.nodes if n.name.startswith("a.")} == {"a"}
    assert (node(result, "a").exit_code, log(result, "a.first")) == (0, "hello\n")
    assert log(result, "b") == "1\n2\n3 done\n"


def test_what_depends_on_a_container_that_failed_does_not_start(run: Run) -> None:
    result = run(filled("exit 3"))
    inside = {"a.first": "Failed", "a.second": "Error", "a.main": "Error"}
    assert phases(result) == {"a": "Failed", **inside, "b": "Omitted"}
    found = node(result, "a")
    assert (found.message, found.exit_code, found.log_tail) == ("first: exit code 3", 64, ("hello",))
    assert node(result, "a.second").message == "dependency 'first' ended with exit code 3"
    assert node(result, "a.main").message == "dependency 'second' ended with exit code 64"


SIDE_BY_SIDE = """
templates:
- name: main
  volumes: [{{name: w, emptyDir: {{}}}}]
  containerSet:
    volumeMounts: [{{name: w, mountPath: /w}}]
    containers:
    - {{name: a, image: x, command: [sh, -c, 'echo > /w/a; until test -e /w/b; do sleep 0.02; done; {a}']}}
    - {{name: b, image: x, command: [sh, -c, 'echo > /w/b; until test -e /w/a; do sleep 0.02; done; {b}']}}
"""


def test_containers_without_dependencies_run_beside_each_other(run: Run) -> None:
    result = run(SIDE_BY_SIDE.format(a="true", b="true"))
    assert phases(result) == dict.fromkeys(["main", "main.a", "main.b"], "Succeeded")
    assert node(result, "main").exit_code is None


def test_a_failure_stops_no_other_container(run: Run) -> None:
    failing = "echo > /w/failed; exit 4"
    result = run(SIDE_BY_SIDE.format(a=failing, b="until test -e /w/failed; do sleep 0.02; done; sleep 0.2"))
    assert phases(result) == {"main": "Failed", "main.a": "Failed", "main.b": "Succeeded"}
    assert node(result, "main").message == "a: exit code 4"


def test_each_container_has_paths_of_its_own(run: Run) -> None:
    result = run("""
templates:
- name: main
  inputs: {artifacts: [{name: i, path: /tmp/in, raw: {data: text}}]}
  outputs: {artifacts: [{name: o, path: /tmp/out}]}
  containerSet:
    containers:
    - {name: a, image: x, workingDir: /src, command: [sh, -c, 'touch only-a; test ! -e in; pwd']}
    - name: main
      image: x
      dependencies: [a]
      workingDir: /src
      command: [sh, -c, 'test ! -e only-a && cat /tmp/in > /tmp/out']
""")
    assert phases(result) == dict.fromkeys(["main", "main.a", "main.main"], "Succeeded")
    path = node(result, "main").outputs.artifacts["o"]
    assert (result.run_dir / path).read_text("utf-8") == "text"


TWICE = "test -e /w/tried && echo 1 >> /w/all || { touch /w/tried; exit 5; }"


@pytest.mark.parametrize(("retries", "phase"), [("2", "Succeeded"), ("1", "Failed")])
def test_a_container_is_tried_again_in_its_place(run: Run, retries: str, phase: str) -> None:
    result = run(filled(TWICE, of_set=f"retryStrategy: {{retries: '{retries}', duration: 10ms}}"))
    assert phases(result)["a.first"] == phase
    assert log(result, "a.first") == "hello\n" * int(retries)


def test_attempts_of_the_template_have_nodes_of_their_own(run: Run) -> None:
    result = run(filled("test {{retries}} = 1 && echo 1 >> /w/all", retry="retryStrategy: {limit: 1}"))
    found = phases(result)
    assert found["a"] == "Succeeded"
    assert [found[f"a({n}).{name}"] for n in (0, 1) for name in ("first", "main")] == [
        *("Failed", "Error"),
        *("Succeeded", "Succeeded"),
    ]


def test_a_deadline_stops_all_of_them(run: Run) -> None:
    wait = "echo $$$$ > /w/pid; exec sleep 600"
    text = SIDE_BY_SIDE.format(a=wait, b="exec sleep 600").replace(
        "  containerSet", "  activeDeadlineSeconds: 1\n  containerSet"
    )
    result = run(text)
    assert phases(result) == dict.fromkeys(["main", "main.a", "main.b"], "Failed")
    assert node(result, "main").message == "ran longer than 1 s and was stopped"
    pid = int((result.run_dir / "steps/main/volumes/w/pid").read_text("utf-8"))
    assert not Path(f"/proc/{pid}").exists()


def test_a_program_that_is_not_there_is_the_containers_error(run: Run) -> None:
    result = run("""
templates:
- name: main
  containerSet:
    retryStrategy: {retries: 3}
    containers: [{name: main, image: x, command: [no-such-program]}]
""")
    assert phases(result) == {"main": "Failed", "main.main": "Error"}
    assert node(result, "main").exit_code == 64


def test_a_set_is_patched_by_the_names_of_its_containers(run: Run) -> None:
    result = run("""
podSpecPatch: '{containers: [{name: b, env: [{name: WORD, value: patched}]}]}'
templates:
- name: main
  containerSet:
    containers:
    - {name: a, image: x, command: [sh, -c, 'echo $WORD'], env: [{name: WORD, value: own}]}
    - {name: b, image: x, command: [sh, -c, 'echo $WORD'], env: [{name: WORD, value: own}]}
""")
    assert (log(result, "main.a"), log(result, "main.b")) == ("own\n", "patched\n")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("containerSet: {containers: []}", "a containerSet needs containers"),
        ("containerSet: {containers: [{name: a, image: x}]}", r"containerSet\[a\]: no command"),
        ("daemon: true, containerSet: {containers: [{name: a, command: [x]}]}", "is no daemon"),
        (
            "containerSet: {retryStrategy: {retries: 0}, containers: [{name: a, command: [x]}]}",
            "with retries 0 Argo starts no container",
        ),
        ("containerSet: {containers: [{name: a, command: [x], tty: true}]}", "steps have no terminal"),
    ],
)
def test_what_cannot_be_done_is_refused(run: Run, template: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        run(f"templates: [{{name: main, {template}}}]")
