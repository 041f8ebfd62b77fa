"""Keys, and the names that may be part of them."""

import pytest

from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version, version_number
from argosy.errors import UsageError


@pytest.mark.parametrize("name", ["a", "resnet18-imagenette-onnx", "A.b_c-9", "x" * 200])
def test_names_that_can_be_part_of_a_key(name: str) -> None:
    assert check_name("model_name", name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a..b",
        "../x",
        "a/b",
        "-a",
        "_a",
        "a b",
        "a\n",
        "ü",
        "{{inputs.parameters.x}}",
        "$(id)",
        "x" * 201,
    ],
)
def test_names_that_cannot(name: str) -> None:
    with pytest.raises(UsageError, match=r"model_name .* cannot be part of a key"):
        check_name("model_name", name)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("10", 10),
        ("0", None),
        ("01", None),
        ("-1", None),
        ("1.5", None),
        ("v1", None),
        ("", None),
        ("٣", None),
    ],
)
def test_a_folder_is_a_version_as_triton_reads_it(name: str, number: int | None) -> None:
    assert version_number(name) == number


@pytest.mark.parametrize("version", [0, -1, 2**63])
def test_versions_that_triton_does_not_take(version: int) -> None:
    with pytest.raises(UsageError, match=f"Triton version {version} is not"):
        check_version(version)


def test_keys() -> None:
    keys = ModelKeys("/models/", "net")
    assert keys.config == "models/net/config.pbtxt"
    assert keys.version(3) == "models/net/3/"
    assert keys.claim(3) == "claims/net/3.json"
    assert keys.lock("serving") == "locks/net/serving.json"
    assert keys.record(3) == "deployments/net/3.json"
    assert keys.replaced(3) == "staging/net/replaced-3/"


@pytest.mark.parametrize(
    "prefix", ["", "/", "claims", "staging/x", "locks", "deployments/x", "datasets", "a/../b", "a//b", "a b"]
)
def test_prefixes_that_are_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match="s3_prefix"):
        ModelKeys(prefix, "net")
