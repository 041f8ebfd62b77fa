"""The versions that a config.pbtxt names, and that nothing else in it changes."""

import json

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2 as pb

from argosy.components.deployment.model.triton_config import load_config, named_versions, naming, parse
from argosy.errors import StepError

TUNED = """\
# version_policy { none of this }: slow at night, see #12
name: "net"  # the "name"
backend: 'onnxruntime'
version_policy: { latest { num_versions: 2 } }  # what an operator wrote
max_batch_size: 8
instance_group [{ count: 3, kind: KIND_CPU }]
dynamic_batching < max_queue_delay_microseconds: 500 >
parameters { key: "version_policy { latest" value { string_value: "a \\" } b" } }
"""


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("", None),
        ("version_policy { latest { num_versions: 2 } }", None),
        ("version_policy { all { } }", None),
        ("version_policy { specific { } }", set()),
        ("version_policy { specific { versions: 3 versions: 1 } }", {1, 3}),
        ("version_policy: < specific: < versions: [4] > >", {4}),
    ],
)
def test_named_versions(policy: str, versions: set[int] | None) -> None:
    assert named_versions(f'name: "net"\n{policy}\n') == versions


@pytest.mark.parametrize("versions", [[], [7], [2, 9, 2**63 - 1]])
def test_only_the_policy_changes(versions: list[int]) -> None:
    text = naming(TUNED, versions)
    assert named_versions(text) == set(versions)
    changed = [(a, b) for a, b in zip(TUNED.splitlines(), text.splitlines(), strict=True) if a != b]
    assert [before for before, _ in changed] == [
        "version_policy: { latest { num_versions: 2 } }  # what an operator wrote"
    ]
    assert changed[0][1].endswith("  # what an operator wrote")


def test_a_text_that_names_them_stays_as_it_is() -> None:
    text = 'name: "net" version_policy { specific { versions: 2 versions: 1 } }'
    assert naming(text, [1, 2]) == text


@pytest.mark.parametrize(
    "text",
    [
        'name: "net"',
        "version_policy {\n  specific {\n    versions: 1\n  }\n}\nmax_batch_size: 4",
        "version_policy < all < > > max_batch_size: 4",
        "input { name: 'version_policy' dims: [-1] } version_policy { all {} }",
        "",
    ],
)
def test_whatever_the_text_looks_like(text: str) -> None:
    named = naming(text, [5, 6])
    assert named_versions(named) == {5, 6}
    before, after = parse(text), parse(named)
    for config in (before, after):
        config.ClearField("version_policy")
    assert before == after


def test_a_loads_configuration_is_the_files() -> None:
    config = load_config(TUNED, [3, 1])
    again = json_format.ParseDict(json.loads(json.dumps(config)), pb.ModelConfig())
    assert again == text_format.Parse(naming(TUNED, [1, 3]), pb.ModelConfig())
    assert config["max_batch_size"] == 8  # the names of the file, not those of JavaScript


@pytest.mark.parametrize(
    "text",
    ["version_policy {", "no config at all", "unknown_field: 1", "version_policy {} version_policy {}"],
)
def test_no_config(text: str) -> None:
    with pytest.raises(StepError, match=r"config\.pbtxt cannot be read"):
        naming(text, [1])
