"""docs/command-line.md: what it says of a step's environment is what a step gets."""

import re
from pathlib import Path

from argosy.local.program import _INHERITED, _INHERITED_FAMILIES


def test_the_page_names_every_variable_that_a_step_gets_of_the_shell(repository: Path) -> None:
    page = (repository / "docs" / "command-line.md").read_text(encoding="utf-8")
    table = page.partition("of your shell only this")[2].partition("Credentials are none")[0]
    told = set(re.findall(r"`([A-Za-z_]+)\*?`", table)) - {"PYTHONPATH"}
    capitals = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"}
    assert told | capitals == _INHERITED | set(_INHERITED_FAMILIES)
