"""What a shell completes, asked as each of the three shells asks."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from argosy.local.node import Node, now

ARGOSY = Path(sys.executable).with_name("argosy")
PROGRAM = """
from typing import Literal
from argosy import component, pipeline

print("noise of the program")

@component(image="example/steps:1")
def say(text: str) -> None: ...

@pipeline
def greet(who: str = "all", loud: bool = False, size: Literal["s", "m"] = "s"):
    say(text=who)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a program, a manifest, two runs and what completes to nothing."""
    (tmp_path / "greet_me.py").write_text(PROGRAM)
    (tmp_path / "green.yaml").write_text(
        "kind: Workflow\nspec: {arguments: {parameters: [{name: colour, enum: [red, blue]}, {name: size}]}}\n"
    )
    (tmp_path / "grey.txt").touch()
    (tmp_path / "grown").mkdir()
    for run in ("greet-a", "other-b", "ran-c"):
        (tmp_path / "state" / "runs" / run).mkdir(parents=True)
    nodes = [Node(name, name, "Container").to_dict() for name in ("prepare", "train")]
    head = {"name": "ran-c", "uid": "u", "startedAt": now(1), "phase": "Running", "parameters": {}}
    (tmp_path / "state" / "runs" / "ran-c" / "run.json").write_text(json.dumps({**head, "nodes": nodes}))
    return tmp_path


def asked(folder: Path, *words: str, shell: str = "bash") -> list[str]:
    given = {"COMP_WORDS": " ".join(("argosy", *words)), "COMP_CWORD": str(len(words))}
    if shell == "fish":
        given["COMP_CWORD"] = words[-1]
    environment = {
        **os.environ,
        **given,
        "_ARGOSY_COMPLETE": f"{shell}_complete",
        "ARGOSY_STATE_DIR": "state",
    }
    done = subprocess.run([ARGOSY], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if shell == "zsh":
        return [key for kind, key in zip(lines[::3], lines[1::3], strict=False) if kind == "plain"]
    return [line.partition(",")[2] for line in lines if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_answered(folder: Path, shell: str) -> None:
    assert asked(folder, "compl", shell=shell) == ["completion"]
    assert asked(folder, "run", "greet_me.py", "-p", "w", shell=shell) == ["who="]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "gr"), ["greet_me.py", "grown/", "green.yaml"]),
        (("compile", "gr"), ["greet_me.py", "grown/"]),
        (("graph", "prune"), ["prune-versions"]),
        (("submit", "roll"), ["rollback-model"]),
        (("run", "--resume", "gr"), ["greet-a"]),
        (("attach", "gr"), ["greet-a"]),
        (("open", "oth"), ["other-b"]),
        (("compare", "greet-a", "o"), ["other-b"]),
        (("runs", "prune", "greet-a", "o"), ["other-b"]),
        (("show", "ran"), ["ran-c"]),
        (("logs", "ran-c", "pre"), ["prepare"]),
        (("rerun", "last", "--from", "t"), ["train"]),
        (("rerun", "ran-c", "--step", "p"), ["prepare"]),
        (("rerun", "greet-a", "--step", "p"), []),
        (("run", "greet_me.py", "-p", "who=x", "-p", "''"), ["loud=", "size="]),
        (("run", "-p", "who=x", "greet_me.py", "-p", "loud=t"), ["loud=true"]),
        (("compile", "greet_me.py", "-p", "size="), ["size=s", "size=m"]),
        (("run", "green.yaml", "-p", "c"), ["colour="]),
        (("submit", "green.yaml", "-p", "colour=r"), ["colour=red"]),
        (("run", "nowhere.py", "-p", "c"), []),
        (("run", "-p", "c"), []),
    ],
)
def test_what_is_completed(folder: Path, words: tuple[str, ...], expected: list[str]) -> None:
    assert asked(folder, *words) == expected


def test_a_program_that_cannot_be_imported_completes_to_nothing(folder: Path) -> None:
    (folder / "bad_one.py").write_text("raise SystemExit('no')\n")
    assert asked(folder, "run", "bad_one.py", "-p", "x") == []


def test_bash_itself_takes_the_script(folder: Path) -> None:
    lines = [
        'eval "$(argosy completion bash)"',
        "COMP_WORDS=(argosy run greet_me.py -p wh); COMP_CWORD=4",
        "compopt() { echo compopt $@; }",
        "_argosy_completion argosy; echo ${COMPREPLY[@]}",
    ]
    path = f"{ARGOSY.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split("\n")[:2] == ["compopt -o nospace", "who="], done.stderr


LINES = {
    "argosy run greet_m": ["greet_me.py"],
    "argosy graph prune": ["prune-versions"],
    "argosy run --resume gre": ["greet-a"],
    "argosy run greet_me.py -p wh": ["who="],
    "argosy compile greet_me.py -p size=": ["size=m", "size=s"],
    "argosy compl": ["completion"],
}
TYPED = r"""
zmodload zsh/zpty
zpty -b typing zsh -f -i
zpty -w typing 'PROMPT=; autoload -Uz compinit; compinit -u -D; eval "$(argosy completion zsh)"'
zpty -w typing 'show() { print -r -- "<""<$BUFFER>"">"; zle send-break }; zle -N show; bindkey "^X" show'
# The key of a list: what Tab would offer, as the list shows it.
zpty -w typing 'bindkey "^I" complete-word; bindkey "^D" list-choices; echo REA''DY'
zpty -r typing seen '*READY*'
zpty -w -n typing "$1"$'\t\x18'
zpty -r typing seen '*>>*'
print -r -- "$seen"
zpty -d typing
"""


def of_shell(folder: Path, *command: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{ARGOSY.parent}:{os.environ['PATH']}",
        "ARGOSY_STATE_DIR": "state",
        "HOME": str(folder),
        "TERM": "dumb",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize("line", LINES)
def test_fish_itself_completes(folder: Path, line: str) -> None:
    program = 'argosy completion fish | source; complete -C "$argv[1]"'
    shown = of_shell(folder, "fish", "--no-config", "-c", program, line)
    assert sorted(word.partition("\t")[0] for word in shown.splitlines()) == LINES[line]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize("line", LINES)
def test_zsh_itself_completes(folder: Path, line: str) -> None:
    shown = of_shell(folder, "zsh", "-f", "-c", TYPED, "zsh", line)
    (typed,) = re.findall(r"<<(.*)>>", shown)
    before, _, _ = line.rpartition(" ")
    completed = LINES[line][0] if len(LINES[line]) == 1 else line.rpartition(" ")[2]
    # After a whole word zsh writes a space, after the `=` of a parameter none.
    assert typed == f"{before} {completed}" + " " * (len(LINES[line]) == 1 and not completed.endswith("="))


@pytest.mark.parametrize(
    ("shell", "part"), [("zsh", 'compadd -S "" -U -V unsorted -a completions'), ("fish", "--command argosy")]
)
def test_the_other_shells_have_their_script(shell: str, part: str) -> None:
    done = subprocess.run([ARGOSY, "completion", shell], capture_output=True, text=True, check=True)
    assert part in done.stdout
