"""`--fix`: what is rewritten, what is left, and that meaning and comments stay."""

import errno
from pathlib import Path

import pytest

from argosy.lint import lint_manifest
from argosy.lint.engine import load
from argosy.lint.fix import fix_files, fixed
from argosy.manifest.reading import read

HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: x}\nspec:\n  entrypoint: w\n"
BODY = "  templates:\n  - name: w\n    container: {image: 'alpine:3.20', resources: {requests: {cpu: 1}}}\n"
CRON = "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {name: x}\nspec:\n"
INNER = "  workflowSpec:\n    entrypoint: w\n    templates: [{name: w, suspend: {}}]\n"
EDITS = {
    "a number": ("  schedulerName: 12  # a\n", '  schedulerName: "12"  # a\n'),
    "a boolean": ("  nodeSelector: {gpu: true, a: b}\n", '  nodeSelector: {gpu: "true", a: b}\n'),
    "as it is written": (
        "  hostNetwork: yes\n  schedulerName: 1.10\n",
        '  hostNetwork: yes\n  schedulerName: "1.10"\n',
    ),
    "a word": ("  nodeSelector: {a: on, b: N}\n", '  nodeSelector: {a: "on", b: "N"}\n'),
    "an anchor": ("  onExit: &a 08 # c\n", '  onExit: &a "08" # c\n'),
    "a tag": ("  nodeSelector: {a: !!int 7, b: &c !!bool 'on'}\n", '  nodeSelector: {a: "7", b: &c "on"}\n'),
    "a key": ("  nodeSelector: {on: x, n: 'z'}  # k\n", '  nodeSelector: {"on": x, "n": \'z\'}  # k\n'),
    "an alias": ("  priority: &n 5\n  onExit: *n\n", '  priority: &n 5\n  onExit: "5"\n'),
    "windows lines": ("  onExit: yes\r\n", '  onExit: "yes"\r\n'),
    "case": ("  serviceaccountname: x # b\n", "  serviceAccountName: x # b\n"),
    "mutex": ("  synchronization: {mutex: {name: m}}\n", None),
    "mutex in a block": (
        "  synchronization:\n    mutex:\n      name: m  # c\n      namespace: n\n",
        "  synchronization:\n    mutexes:\n      - name: m  # c\n        namespace: n\n",
    ),
}


def fix(text: str) -> str:
    return fixed(read("x.yaml", text.encode()))[0]


@pytest.mark.parametrize("name", EDITS)
def test_edits(name: str) -> None:
    before, after = EDITS[name]
    assert fix(HEAD + before + BODY) == HEAD + (after or before) + BODY


def test_a_schedule_becomes_a_list() -> None:
    assert fix(CRON + '  schedule: "0 2 * * *"  # nightly\n' + INNER) == (
        CRON + '  schedules: ["0 2 * * *"]  # nightly\n' + INNER
    )
    assert fix(CRON + "  schedule: '@daily'\n  schedules: []\n" + INNER).count("schedules") == 1


@pytest.mark.parametrize(
    "text", ["", HEAD + BODY, CRON + "  schedules: ['@daily']\n" + INNER, "a: [", "kind: x\n"]
)
def test_nothing_to_do(text: str) -> None:
    assert fix(text) == text


def test_fixing_twice_changes_nothing_more_and_leaves_no_finding() -> None:
    text = HEAD + "".join(b for b, _ in (EDITS["a number"], EDITS["a boolean"], EDITS["case"])) + BODY
    once = fix(text)
    assert fix(once) == once
    assert {v.code for v in lint_manifest(text)} == {"ARG010", "ARG014"} and lint_manifest(once) == []


def test_files_are_written_in_place_and_only_where_something_changed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + "  schedulerName: 12\n" + BODY)
    (tmp_path / "b.yaml").write_text(HEAD + BODY)
    assert fix_files(load([tmp_path])) == {str(tmp_path / "a.yaml"): 1}
    assert '"12"' in (tmp_path / "a.yaml").read_text()


def test_a_file_for_which_there_is_no_room_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, file = tmp_path / "real.yaml", tmp_path / "a.yaml"
    real.write_text(HEAD + "  schedulerName: 12\n" + BODY)
    real.chmod(0o640)
    file.symlink_to(real)
    before = real.read_text()

    def full(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left on device"):
            fix_files(load([file]))
    assert real.read_text() == before
    assert fix_files(load([file])) == {str(file): 1}
    assert file.is_symlink() and real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "real.yaml"]
