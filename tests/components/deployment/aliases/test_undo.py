"""Taking back exactly what one workflow did to the aliases, on a registry of MLflow's."""

import itertools

import pytest

from argosy.components.deployment.aliases.history import Aliases
from argosy.components.deployment.aliases.moves import AliasTable, Undone, go_live, undo
from argosy.components.shared import registry
from tests.components.deployment.mortal import MortalClient, dies

# Workflow, the MLflow version that it makes live, the number in Triton.
Deployment = tuple[str, str, int]
A, B, C, D = ("a", "1", 1), ("b", "2", 2), ("c", "3", 3), ("d", "4", 4)
AGAIN = ("again", "1", 5)  # the same MLflow version by another workflow, under another number
ONCE_MORE = ("once-more", "1", 6)

STORIES: list[tuple[list[Deployment], list[str], Aliases, str]] = [
    # what was deployed, what is taken back, the aliases after, Triton's number of `live`
    ([A], ["a"], Aliases("", ""), ""),
    ([A, B], ["b"], Aliases("1", ""), "1"),
    ([A, B, C], ["c"], Aliases("2", "1"), "2"),
    ([A, B, C], ["nobody"], Aliases("3", "2"), "3"),
    # Another workflow went live meanwhile: it stays; what failed is nothing to go back to.
    ([A, B, C], ["b"], Aliases("3", "1"), "3"),
    ([A, B], ["a"], Aliases("2", ""), "2"),
    ([A, B, C, D], ["b"], Aliases("4", "3"), "4"),
    # Several fail, in any order.
    ([A, B, C], ["b", "c"], Aliases("1", ""), "1"),
    ([A, B, C], ["c", "b"], Aliases("1", ""), "1"),
    ([A, B, C, D], ["c", "b", "d"], Aliases("1", ""), "1"),
    ([A, B, C, D], ["b", "d"], Aliases("3", "1"), "3"),
    ([A, B, C, D], ["a", "b", "c", "d"], Aliases("", ""), ""),
    ([A, B, C, D], ["d", "c", "b", "a"], Aliases("", ""), ""),
    # The live version deployed again: only the number in Triton goes back.
    ([A, B, ("b2", "2", 5)], ["b2"], Aliases("2", "1"), "2"),
    ([A, AGAIN], ["again"], Aliases("1", ""), "1"),
    ([A, AGAIN], ["a"], Aliases("1", ""), "5"),
    ([A, AGAIN, ONCE_MORE], ["again", "once-more"], Aliases("1", ""), "1"),
    ([B, A, AGAIN, ONCE_MORE], ["a", "once-more", "again"], Aliases("2", ""), "2"),
    # The version that was `previous` deployed again.
    ([A, B, AGAIN], ["again"], Aliases("2", "1"), "2"),
    ([A, B, AGAIN], ["b"], Aliases("1", ""), "5"),
    # The same version in Triton, forced, by two workflows.
    ([A, B, ("forced", "1", 1)], ["forced"], Aliases("2", "1"), "2"),
]


def number(table: AliasTable, version: str) -> str:
    return table.client.get_model_version(table.model, version).tags["triton.version"] if version else ""


@pytest.mark.parametrize(("deployed", "failed", "expected", "live_number"), STORIES)
def test_stories(
    table: AliasTable, deployed: list[Deployment], failed: list[str], expected: Aliases, live_number: str
) -> None:
    for owner, version, triton_version in deployed:
        go_live(table, version, triton_version, owner)
    for owner in failed:
        own = [Undone(version, triton) for who, version, triton in deployed if who == owner]
        assert undo(table, owner, "it failed") == own
        after = table.read()
        assert undo(table, owner, "it failed") == own
        assert table.read() == after
    assert table.read() == expected
    assert number(table, expected.live) == live_number


def test_what_the_tags_say(table: AliasTable) -> None:
    go_live(table, "1", 1, "a")
    go_live(table, "2", 2, "b")
    undo(table, "b", "the answers were wrong")
    tags = table.client.get_model_version(table.model, "2").tags
    assert tags["triton.rolled_back_because"] == "the answers were wrong"
    assert tags["triton.rolled_back_by"] == "b" and tags["triton.rolled_back_at"]
    assert tags["triton.version"] == "2"
    assert "triton.workflow" not in tags
    # The workflow is retried under its own uid, and goes live after all.
    assert go_live(table, "2", 2, "b") == Aliases("2", "1")
    tags = table.client.get_model_version(table.model, "2").tags
    assert not [tag for tag in tags if tag.startswith("triton.rolled_back")]
    assert undo(table, "b", "again") == [Undone("2", 2)]
    assert table.read() == Aliases("1", "")


@pytest.mark.parametrize("deployed", [[A, B, C], [A, B, AGAIN]])
def test_killed_anywhere_and_run_again(
    registry_file: str, table: AliasTable, deployed: list[Deployment]
) -> None:
    for writes in itertools.count():
        for owner, version, triton_version in deployed:
            go_live(table, version, triton_version, f"{owner}{writes}")
        failed = f"{deployed[-1][0]}{writes}"
        mortal = MortalClient(registry_file, table.model, writes)
        died = dies(mortal, lambda m, who=failed: undo(AliasTable(m, table.model), who, "it failed"))
        undo(table, failed, "it failed")
        assert table.read() == Aliases("2", "1")
        assert (number(table, "2"), number(table, "1")) == ("2", "1")
        if not died:
            break
    assert writes >= 7


@pytest.mark.parametrize("new", [("c", "3", 3), ("again", "1", 5)])
def test_a_deployment_that_was_killed_anywhere_is_taken_back(
    registry_file: str, table: AliasTable, new: Deployment
) -> None:
    for owner, version, triton_version in (A, B):
        go_live(table, version, triton_version, owner)
    owner, version, triton_version = new
    for writes in itertools.count():
        who = f"{owner}{writes}"
        mortal = MortalClient(registry_file, table.model, writes)
        died = dies(mortal, lambda m, w=who: go_live(AliasTable(m, table.model), version, triton_version, w))
        undo(table, who, "it was killed")
        assert table.read() == Aliases("2", "1")
        assert (number(table, "2"), number(table, "1")) == ("2", "1")
        if not died:
            break
    assert writes >= 6


def test_overtaken_while_it_was_taken_back(registry_file: str, table: AliasTable) -> None:
    for owner, version, triton_version in (A, B):
        go_live(table, version, triton_version, owner)
    mortal = MortalClient(registry_file, table.model, 2)
    assert dies(mortal, lambda m: undo(AliasTable(m, table.model), "b", "it failed"))
    assert go_live(table, "3", 3, "c") == Aliases("3", "2")
    undo(table, "b", "it failed")
    assert table.read() == Aliases("3", "1")


@pytest.mark.parametrize(("gone", "expected"), [("2", Aliases("1", "")), ("1", Aliases("2", ""))])
def test_versions_that_were_deleted_meanwhile(table: AliasTable, gone: str, expected: Aliases) -> None:
    for owner, version, triton_version in (A, B, C):
        go_live(table, version, triton_version, owner)
    table.client.delete_model_version(table.model, gone)
    undo(table, "c", "it failed")
    assert table.read() == expected


def test_aliases_that_were_set_by_hand_are_restored(table: AliasTable) -> None:
    registry.set_alias(table.client, table.model, "live", "1")
    registry.set_alias(table.client, table.model, "previous", "2")
    go_live(table, "2", 2, "b")
    undo(table, "b", "it failed")
    assert table.read() == Aliases("1", "2")
