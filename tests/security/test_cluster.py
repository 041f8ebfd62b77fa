"""Hostile values on their way to a cluster: what is submitted arrives as it is; the rest is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from argosy.cli.main import main
from argosy.compose.compiler import compile
from argosy.compose.given import check_for_cluster
from argosy.compose.loader import load_pipeline
from argosy.errors import UsageError
from argosy.manifest.emit import to_yaml
from argosy.step.values import unfit
from tests.security.argo import command_line
from tests.security.echo import NAMES, PORTS, program
from tests.security.hostile import CANARY, TEMPLATE, VALUES


def _refused(value: str) -> bool:
    try:
        check_for_cluster({"x": value})
    except UsageError:
        return True
    return False


REFUSED = [value for value in VALUES if _refused(value)]
CARRIED = sorted((value for value in VALUES if not _refused(value)), key=len)
BATCHES = [CARRIED[start : start + PORTS] for start in range(0, len(CARRIED), PORTS)]


@pytest.mark.parametrize("number", range(len(BATCHES)))
def test_what_is_submitted_arrives_in_the_container_as_it_is(tmp_path: Path, number: int) -> None:
    values = dict(zip(NAMES, BATCHES[number], strict=False))
    manifest = compile(load_pipeline(str(program(tmp_path))))
    everything = {**dict.fromkeys(NAMES, ""), **values}
    words = command_line(yaml.safe_load(to_yaml(manifest)), "first", everything)
    assert words[0] == "python"
    placed = [re.sub(r"^(--output-p\d\d=)/tmp/", rf"\1{tmp_path}/", word) for word in words[1:]]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, *placed], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    for name, value in values.items():
        # Argo takes one newline off the end of an output parameter's file.
        arrived = (tmp_path / "outputs" / name).read_bytes().decode()
        assert arrived.removesuffix("\n") == value, name
    assert not list(tmp_path.rglob(CANARY))


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: ascii(value[:20]))
def test_what_would_not_arrive_as_it_is_is_refused_in_one_line(tmp_path: Path, value: str) -> None:
    target = str(program(tmp_path))
    # No cluster is configured: whoever asked for one would say so, and not name the parameter.
    done = CliRunner().invoke(main, ["submit", target, "-p", f"p00={value}"])
    assert done.exit_code == 2
    assert done.stderr.startswith("argosy: parameter 'p00': ")
    assert len(done.stderr.splitlines()) == 1 and len(done.stderr) < 500


def test_every_tag_is_among_the_refused() -> None:
    assert {value for value in TEMPLATE if "{{" in value} <= set(REFUSED)
    assert {"$(PATH)", "$$", "$(AWS_SECRET_ACCESS_KEY)"} <= set(REFUSED)
    assert len(CARRIED) > 200


def test_defaults_come_back_from_the_compiled_yaml(tmp_path: Path) -> None:
    texts = [v for v in VALUES if not unfit(v)]
    for start in range(0, len(texts), PORTS):
        wanted = texts[start : start + PORTS]
        text = to_yaml(compile(load_pipeline(str(program(tmp_path, wanted)))))
        for loader in (yaml.SafeLoader, yaml.CSafeLoader, yaml.BaseLoader):
            spec = yaml.load(text, Loader=loader)["spec"]
            assert [p["value"] for p in spec["arguments"]["parameters"]] == wanted
            assert [p["value"] for p in spec["templates"][0]["inputs"]["parameters"]] == wanted
            assert spec["entrypoint"] == "main" and "serviceAccountName" not in spec


def test_defaults_that_no_program_can_be_given_are_refused(tmp_path: Path) -> None:
    """Those that are no text, too long for a command line, or hold a NUL."""
    refused = [v for v in VALUES if unfit(v)]
    assert len(refused) > 3
    for value in refused:
        done = CliRunner().invoke(main, ["compile", str(program(tmp_path, [value]))])
        assert done.exit_code == 2, ascii(value)
        assert len(done.stderr.splitlines()) == 1
