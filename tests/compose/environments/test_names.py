"""What a project declares, read from its text."""

from pathlib import Path
from textwrap import dedent

from argosy.compose.environments.names import names_below


def declared(folder: Path, **files: str) -> set[str]:
    before = names_below().parameters
    for name, text in files.items():
        (folder / f"{name}.py").write_text(dedent(text))
    return names_below(folder).parameters - before


def test_a_group_counts_as_its_fields_not_as_itself(tmp_path: Path) -> None:
    groups = """
        from dataclasses import dataclass
        from typing import NamedTuple

        class Animals(NamedTuple):
            cat_name: str
            dogs: int = 2

        @dataclass
        class Base:
            stable: str

        @dataclass
        class Horses(Base):
            hooves: int = 4
    """
    pipeline = """
        from argosy import pipeline
        import groups
        from groups import Animals as Pets

        @pipeline
        def zoo(pets: Pets, keeper: str, *, horses: "groups.Horses"):
            pass
    """
    assert declared(tmp_path, groups=groups, zoo=pipeline) == {
        "cat-name",
        "dogs",
        "keeper",
        "stable",
        "hooves",
    }


def test_a_class_that_inherits_from_itself_in_the_text_ends(tmp_path: Path) -> None:
    """Two files may have classes of one name."""
    text = """
        from argosy import pipeline

        class Fodder(Fodder):
            hay: str

        @pipeline
        def farm(fodder: Fodder):
            pass
    """
    assert declared(tmp_path, farm=text) == {"hay"}
