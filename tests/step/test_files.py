"""Copies of a step's files: complete, independent, and nothing but their own place is changed."""

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from argosy.step import files
from argosy.step.files import PARTIAL, copy_to, write_text


def tree(root: Path) -> dict[str, object]:
    """Everything below a folder: contents of files, targets of links, modes."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (content, path.lstat().st_mode, path.lstat().st_mtime_ns)
    return found


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's folder, with all that is awkward."""
    folder = tmp_path / "mine"
    (folder / "deep" / "empty").mkdir(parents=True)
    (folder / "data.csv").write_bytes(b"a,b\n" * 1000)
    (folder / "data.csv").chmod(0o444)
    (folder / "run.sh").write_text("exit 0")
    (folder / "run.sh").chmod(0o755)
    (folder / "deep" / "ünï ☃").write_text("x")
    (folder / "link").symlink_to("data.csv")
    (folder / "absolute").symlink_to(folder / "deep")
    (folder / "broken").symlink_to("nowhere")
    (folder / "outside").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "y").write_text("theirs")
    return folder


def test_a_file_is_copied_and_stays_as_it_was(mine: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    copy_to(mine / "data.csv", tmp_path / "out" / "f")
    copied = tmp_path / "out" / "f"
    assert copied.read_bytes() == (mine / "data.csv").read_bytes()
    assert copied.stat().st_mode & 0o777 == 0o444
    assert copied.stat().st_ino != (mine / "data.csv").stat().st_ino
    assert before.items() <= tree(tmp_path).items()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["f"]


def test_a_later_change_of_the_original_does_not_reach_the_copy(mine: Path, tmp_path: Path) -> None:
    with (mine / "run.sh").open("a") as still_open:
        still_open.write("; echo")
        copy_to(mine, tmp_path / "out")
        still_open.write(" more")
    assert (tmp_path / "out" / "run.sh").read_text() == "exit 0; echo"


@pytest.mark.parametrize("told", [True, False])
def test_what_is_written_to_an_open_file_is_in_the_copy(
    told: bool, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not told:  # a system without /proc
        monkeypatch.setattr(files, "_TELLS_FILES", False)
        monkeypatch.setattr(os, "readlink", lambda *_: Path("/nowhere").stat())
    text, raw, both = (mine / name for name in ("text.log", "raw.log", "both.log"))
    with text.open("w") as a, raw.open("wb") as b, both.open("w+b") as c, (mine / "run.sh").open() as reader:
        a.write("one")
        b.write(b"two")
        c.write(b"three")
        for path in (text, raw, both):
            copy_to(path, tmp_path / path.name)
        assert reader.read() == "exit 0"
    assert [(tmp_path / p.name).read_text() for p in (text, raw, both)] == ["one", "two", "three"]


def test_open_files_of_a_folder_are_flushed(mine: Path, tmp_path: Path) -> None:
    with (mine / "deep" / "train.log").open("w") as log, (tmp_path / "other.log").open("w") as other:
        log.write("epoch 1")
        other.write("not yet")
        copy_to(mine, tmp_path / "out")
        assert (tmp_path / "other.log").read_text() == ""
    assert (tmp_path / "out" / "deep" / "train.log").read_text() == "epoch 1"


def test_a_folder_is_copied_whole_and_links_that_leave_it_become_what_they_lead_to(
    mine: Path, tmp_path: Path
) -> None:
    before = tree(mine)
    out = tmp_path / "o" / "d"
    copy_to(mine, out)
    assert tree(mine) == before
    assert {p.name for p in out.iterdir()} == {p.name for p in mine.iterdir()}
    assert (str((out / "link").readlink()), str((out / "absolute").readlink())) == ("data.csv", "deep")
    assert str((out / "broken").readlink()) == "nowhere"
    assert not (out / "outside").is_symlink()
    assert (out / "outside" / "y").read_text() == "theirs"
    assert (out / "deep" / "empty").is_dir()
    assert (out / "run.sh").stat().st_mode & 0o777 == 0o755


def test_a_link_in_the_place_of_the_source_is_followed(mine: Path, tmp_path: Path) -> None:
    copy_to(mine / "link", tmp_path / "f")
    copy_to(mine / "absolute", tmp_path / "d")
    assert not (tmp_path / "f").is_symlink()
    assert [p.name for p in (tmp_path / "d").iterdir()] == [p.name for p in (mine / "deep").iterdir()]
    assert (mine / "link").is_symlink()


def test_a_folder_can_be_copied_into_itself(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {p.name for p in mine.iterdir()}
    monkeypatch.chdir(mine)
    copy_to(Path(), Path("deep/out"))
    copied = mine / "deep" / "out"
    assert {p.name for p in copied.iterdir()} == names
    assert not (copied / "deep" / "out").exists()
    assert {p.name for p in mine.iterdir()} == names


def test_a_read_only_folder_gives_a_copy_that_can_be_moved_and_removed(mine: Path, tmp_path: Path) -> None:
    (mine / "deep").chmod(0o555)
    copy_to(mine, tmp_path / "out")
    assert (tmp_path / "out" / "deep").stat().st_mode & 0o777 == 0o755
    assert (mine / "deep").stat().st_mode & 0o777 == 0o555


def test_an_empty_folder_that_is_there_is_filled_and_not_replaced(mine: Path, tmp_path: Path) -> None:
    given = tmp_path / "mounted"
    given.mkdir()
    inode = given.stat().st_ino
    copy_to(mine / "deep", given)
    assert (given / "ünï ☃").read_text() == "x"
    assert given.stat().st_ino == inode


def test_a_folder_with_something_in_it_is_left_alone(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="there is something in that folder"):
        copy_to(mine, tmp_path / "elsewhere")
    assert [p.name for p in (tmp_path / "elsewhere").iterdir()] == ["y"]


def test_what_is_in_its_place_already_is_left_as_it_is(mine: Path) -> None:
    before = tree(mine)
    copy_to(mine / "data.csv", mine / "link")
    copy_to(mine, mine / "deep" / "..")
    assert tree(mine) == before


def test_a_link_in_the_place_of_the_copy_is_replaced_and_not_followed(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to(mine / "run.sh")
    copy_to(mine / "data.csv", tmp_path / "f")
    write_text(mine / "link", "value")
    assert (mine / "run.sh").read_text() == "exit 0"
    assert (mine / "data.csv").read_bytes().startswith(b"a,b")
    assert (mine / "link").read_text() == "value"


def test_a_file_that_is_a_mount_point_is_filled(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Path, target: Path) -> Path:
        raise OSError(16, "Device or resource busy", str(target))

    monkeypatch.setattr(Path, "replace", busy)
    (tmp_path / "f").write_text("old and long" * 1000)
    copy_to(mine / "run.sh", tmp_path / "f")
    assert (tmp_path / "f").read_text() == "exit 0"


def test_a_stream_is_written_to_and_stays(mine: Path, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "stdout"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "one")
    write_text(link, "two")
    copy_to(mine / "run.sh", pipe)
    assert os.read(reader, 100) == b"onetwoexit 0"
    os.close(reader)
    assert pipe.is_fifo() and link.is_symlink()
    assert not list(tmp_path.glob(f"{PARTIAL}*"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes a device")
def test_what_takes_everything_stays(mine: Path, tmp_path: Path) -> None:
    """Written to as root, /dev/null itself became a file, and all programs of the machine wrote into it."""
    null = tmp_path / "null"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, Path(os.devnull).stat().st_rdev)
    except PermissionError:
        pytest.skip("no right to make a device")
    write_text(null, "x")
    copy_to(mine, null)
    assert null.is_char_device()


def test_a_socket_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
        with pytest.raises(OSError, match="neither a file, a folder nor a stream"):
            write_text(Path("s"), "x")
        assert Path("s").is_socket()


def test_files_beside_the_place_are_not_touched(mine: Path, tmp_path: Path) -> None:
    for name in ("f.part", "f.tmp", ".f"):
        (tmp_path / name).write_text(name)
    copy_to(mine / "run.sh", tmp_path / "f")
    write_text(tmp_path / "g", "x")
    assert all((tmp_path / name).read_text() == name for name in ("f.part", "f.tmp", ".f"))
    assert not list(tmp_path.glob(f"{PARTIAL}*"))


def test_links_that_lead_back_are_refused(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "back").symlink_to(mine)
    with pytest.raises(OSError, match="leads back"):
        copy_to(mine, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_neither_file_nor_folder_is_refused(kind: str, mine: Path, tmp_path: Path) -> None:
    odd = mine / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        socket.socket(socket.AF_UNIX).bind(os.path.relpath(odd))
    with pytest.raises(OSError, match="neither file nor folder") as caught:
        copy_to(mine, tmp_path / "out")
    assert caught.value.filename == str(odd)
    assert not (tmp_path / "out").exists()


def test_the_whole_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="whole file system"):
        copy_to(Path("/"), tmp_path / "out")


def test_a_copy_that_fails_leaves_nothing_and_the_old_file(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "f").write_text("old")
    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        copy_to(mine / "data.csv", tmp_path / "f")
    assert (tmp_path / "f").read_text() == "old"
    assert not list(tmp_path.glob(f"{PARTIAL}*"))


@pytest.mark.parametrize("missing", [True, False])
def test_files_are_copied_whole_with_and_without_the_kernels_help(
    missing: bool, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    (mine / "big").write_bytes(os.urandom(3_000_001))
    copy_to(mine / "big", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == (mine / "big").read_bytes()
    copy_to(Path("/proc/self/status"), tmp_path / "g")  # its size is 0 to the system
    assert "Name:" in (tmp_path / "g").read_text()
