"""Parameter values arrive byte for byte, whatever is in them."""

from __future__ import annotations

import json

import pytest

from argosy.errors import UsageError
from tests.local.conftest import Run, log

SPEC = """
arguments: {parameters: [{name: v}]}
templates:
- name: main
  dag:
    tasks:
    - {name: first, template: pass, arguments: {parameters: [{name: v, value: "{{workflow.parameters.v}}"}]}}
    - name: second
      depends: first
      template: pass
      arguments: {parameters: [{name: v, value: "{{tasks.first.outputs.parameters.v}}"}]}
- name: pass
  inputs: {parameters: [{name: v}]}
  outputs: {parameters: [{name: v, valueFrom: {path: /tmp/v}}]}
  container:
    image: x
    env: [{name: V, value: "{{inputs.parameters.v}}"}]
    command: [python, -c]
    args:
    - |
      import json, os, sys
      print(json.dumps([sys.argv[1], os.environ["V"]]))
      open(sys.argv[2], "w", newline="").write(sys.argv[1] + chr(10))
    - "{{inputs.parameters.v}}"
    - /tmp/v
"""


@pytest.mark.parametrize(
    "value",
    [
        "",
        'it\'s "quoted"',
        "$(touch /tmp/owned) `id` $HOME $(V) $$",
        "a; rm -rf / & | > <",
        "two\nlines\r\nand\ttabs",
        "trailing newline\n",
        "{{workflow.name}} {{=1+1}} {{unknown}}",
        "größe 模型 🚀",
        "--flag",
        "-",
        "\\n \\\\ %s %(x)s {0}",
        "/tmp/v and /tmp/v/x",  # a declared path inside of a value stays as it is
        " spaces ",
    ],
)
def test_byte_for_byte(run: Run, value: str) -> None:
    result = run(SPEC, parameters={"v": value})
    assert result.succeeded
    assert json.loads(log(result, "first")) == [value, value]
    assert json.loads(log(result, "second")) == [value, value]


def test_a_nul_in_a_parameter_is_refused_before_anything_starts(run: Run) -> None:
    with pytest.raises(UsageError, match=r"parameter 'v': 'a\\x00b' holds a NUL"):
        run(SPEC, parameters={"v": "a\0b"})


def test_a_nul_in_an_output_is_an_error_of_the_node_that_gets_it(run: Run) -> None:
    result = run(SPEC.replace("sys.argv[1] + chr(10)", "chr(0)"), parameters={"v": "a"})
    assert result.phase.value == "Error"
    assert "NUL" in result.nodes[1].message
