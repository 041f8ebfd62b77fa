"""Secrets and ConfigMaps of a run, from files on this machine."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from argosy.errors import UsageError
from argosy.local.kept import CONFIG_MAP, SECRET, Kept, Source, read_env_file, read_secrets

HIDDEN = "do-not-show-me"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "kept"
    file.write_text(text)
    return file


def test_a_file_of_lines(tmp_path: Path) -> None:
    text = "\ufeffFIRST=1\n# keys\n\ns3/access=A=1\nexport s3/secret='b c'\nREGION=eu\nEMPTY=\nFROM_SHELL\n"
    kept = read_env_file(written(tmp_path, text), {"FROM_SHELL": "here", "OTHER": "x"})
    assert kept.variables == {"FIRST": "1", "REGION": "eu", "EMPTY": "", "FROM_SHELL": "here"}
    for kind in (SECRET, CONFIG_MAP):
        assert kept.value(Source(kind, "s3", "access")) == "A=1"
        assert kept.value(Source(kind, "s3", "secret")) == "b c"
    assert kept.value(Source(SECRET, "s3", "other")) is None


def test_a_file_of_secrets_and_config_maps(tmp_path: Path) -> None:
    text = "secrets:\n  s3: {access: A}\nconfigMaps:\n  s3: {access: B}\n"
    kept = read_secrets(written(tmp_path, text))
    assert kept.value(Source(SECRET, "s3", "access")) == "A"
    assert kept.value(Source(CONFIG_MAP, "s3", "access")) == "B"
    assert read_secrets(written(tmp_path, "")) == Kept()


def test_kubernetes_own_objects(tmp_path: Path) -> None:
    coded = base64.b64encode("päss".encode()).decode()
    text = (
        f"kind: Secret\nmetadata: {{name: a}}\ndata: {{k: {coded}}}\nstringData: {{plain: x}}\n---\n"
        "kind: List\nitems:\n- {kind: ConfigMap, metadata: {name: b}, data: {k: 'c'}}\n"
    )
    assert read_secrets(written(tmp_path, text)).values == {
        Source(SECRET, "a", "k"): "päss",
        Source(SECRET, "a", "plain"): "x",
        Source(CONFIG_MAP, "b", "k"): "c",
    }


def test_what_stands_in_the_later_file_counts(tmp_path: Path) -> None:
    first = read_env_file(written(tmp_path, "a/k=1\nb/k=1\nX=1\n"), {})
    second = read_env_file(written(tmp_path, "a/k=2\nX=2\n"), {})
    both = second.over(first)
    assert [both.value(Source(SECRET, name, "k")) for name in "ab"] == ["2", "1"]
    assert both.variables == {"X": "2"}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (f"ok=1\n{HIDDEN} =x y\n", ":2: is none of VARIABLE=VALUE"),
        (f"a/b/c={HIDDEN}\n", ":1: is none of VARIABLE=VALUE"),
        ("NOT_IN_THE_SHELL\n", ":1: 'NOT_IN_THE_SHELL' has no value"),
        ("a/b\n", ":1: 'a/b' has no value"),
        (f"a/b=1\nX=2\na/b={HIDDEN}\n", ":3: 'a/b' is given twice, in line 1, too"),
        (f"X=2\nexport X={HIDDEN}\n", ":2: 'X' is given twice, in line 1, too"),
    ],
)
def test_a_line_that_says_nothing_is_refused_without_its_value(
    tmp_path: Path, text: str, fragment: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_env_file(written(tmp_path, text), {})
    assert fragment in str(caught.value) and HIDDEN not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (f"secrets: {{a: {{k: {HIDDEN}", "not YAML"),
        (f"- {HIDDEN}", "a mapping of 'secrets' and 'configMaps'"),
        (f"secret: {{a: {{k: {HIDDEN}}}}}", "unknown key 'secret'; did you mean 'secrets'?"),
        ("secrets: {a: {k: 5}}", "'a/k' is no text; write it in quotes"),
        (f"secrets: {{a: {HIDDEN}}}", "'a' is not a mapping"),
        (f"{{kind: Secret, metadata: {{name: a}}, data: {{k: {HIDDEN}}}}}", "of 'a/k' is no text in base64"),
        ("kind: Pod", "holds a Pod"),
        ("{kind: Secret, metadata: {}}", "not a Secret or a ConfigMap with a name"),
    ],
)
def test_a_file_of_secrets_that_cannot_be_read_shows_no_value(
    tmp_path: Path, text: str, fragment: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_secrets(written(tmp_path, text))
    assert fragment in str(caught.value) and HIDDEN not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for read in (read_secrets, lambda path: read_env_file(path, {})):
        with pytest.raises(UsageError, match="cannot read"):
            read(tmp_path / "none")
