"""`live` and `previous`, on a registry of MLflow's; the step itself on the real servers."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import update_aliases
from argosy.components.deployment.aliases.history import Aliases, read_history
from argosy.components.deployment.aliases.moves import AliasTable, go_live
from argosy.components.shared import registry
from argosy.errors import StepError
from tests.components.deployment.conftest import Servers
from tests.components.deployment.mortal import MortalClient, dies


def start(table: AliasTable, aliases: Aliases) -> None:
    for alias, version in (("live", aliases.live), ("previous", aliases.previous)):
        if version:
            registry.set_alias(table.client, table.model, alias, version)


MOVES = [
    # before, the version that goes live, after
    (Aliases("", ""), "1", Aliases("1", "")),
    (Aliases("1", ""), "2", Aliases("2", "1")),
    (Aliases("2", "1"), "3", Aliases("3", "2")),
    (Aliases("2", "1"), "1", Aliases("1", "2")),  # back to the rollback target: they change places
    (Aliases("3", "1"), "2", Aliases("2", "3")),
    (Aliases("2", "1"), "2", Aliases("2", "1")),  # deployed again: nothing moves
    (Aliases("", "1"), "1", Aliases("1", "")),
    (Aliases("", "1"), "2", Aliases("2", "1")),
]


@pytest.mark.parametrize(("before", "new", "expected"), MOVES)
def test_moves(table: AliasTable, before: Aliases, new: str, expected: Aliases) -> None:
    start(table, before)
    assert go_live(table, new, 7, "w") == expected
    tags = table.client.get_model_version(table.model, new).tags
    assert tags["triton.version"] == "7"
    assert tags["triton.workflow"] == "w"
    assert (tags["triton.took_over_from"], tags["triton.previous_before"]) == (before.live, before.previous)
    assert go_live(table, new, 7, "w") == expected
    assert table.client.get_model_version(table.model, new).tags == tags


@pytest.mark.parametrize("new", ["3", "1"])
def test_killed_anywhere_and_run_again(registry_file: str, table: AliasTable, new: str) -> None:
    for writes in itertools.count():
        start(table, Aliases("2", "1"))
        owner = f"w{writes}"
        mortal = MortalClient(registry_file, table.model, writes)
        died = dies(mortal, lambda m, owner=owner: go_live(AliasTable(m, table.model), new, 7, owner))
        assert go_live(table, new, 7, owner) == Aliases(new, "2")
        table.point(Aliases("", ""))
        if not died:
            break
    assert writes >= 6


def test_the_next_triton_version_is_noted(table: AliasTable) -> None:
    go_live(table, "1", 7, "w7")
    go_live(table, "1", 8, "w8")
    tags = table.client.get_model_version(table.model, "1").tags
    assert (tags["triton.version"], tags["triton.workflow"], tags["triton.took_over_from"]) == (
        "8",
        "w8",
        "1",
    )


def test_an_overtaken_deployment_does_not_push_out_the_newer_one(table: AliasTable) -> None:
    go_live(table, "1", 1, "older")
    go_live(table, "2", 2, "newer")
    assert go_live(table, "1", 1, "older") == Aliases("2", "1")
    # Deployed anew, by another workflow, it is the newer one.
    assert go_live(table, "1", 1, "newest") == Aliases("1", "2")
    assert go_live(table, "2", 2, "newer") == Aliases("1", "2")


def test_a_finished_deployment_does_not_undo_a_return_by_hand(table: AliasTable) -> None:
    go_live(table, "1", 1, "first")
    go_live(table, "2", 2, "second")
    go_live(table, "1", 1, "by-hand")
    assert go_live(table, "2", 2, "second") == Aliases("1", "2")


def test_killed_before_anything_moved_and_overtaken(registry_file: str, table: AliasTable) -> None:
    go_live(table, "1", 1, "first")
    mortal = MortalClient(registry_file, table.model, 3)
    assert dies(mortal, lambda m: go_live(AliasTable(m, table.model), "2", 2, "killed"))
    go_live(table, "3", 3, "third")
    assert go_live(table, "2", 2, "killed") == Aliases("3", "1")


def test_a_version_that_does_not_exist(table: AliasTable) -> None:
    start(table, Aliases("2", "1"))
    with pytest.raises(StepError, match="find version 9 of model"):
        go_live(table, "9", 7, "w")
    assert table.read() == Aliases("2", "1")


def test_a_history_that_somebody_else_wrote(table: AliasTable) -> None:
    registry.set_version_tags(table.client, table.model, "1", {"triton.moves": '[{"by": "hand"}]'})
    with pytest.raises(StepError, match=r"tag triton.moves of version 1 .* delete the tag"):
        go_live(table, "1", 1, "w")


def versions(client: MlflowClient, name: str, count: int) -> None:
    registry.ensure_model(client, name)
    for _ in range(count):
        client.create_model_version(name, "s3://nowhere/model", await_creation_for=0)


def deploy(servers: Servers, name: str, version: int, owner: str = "") -> tuple[str, str]:
    moved = update_aliases(
        model_version=str(version),
        triton_version=version,
        model_name=name,
        mlflow_tracking_uri=servers.mlflow,
        owner=owner,
        s3_bucket=servers.bucket,
    )
    return moved.live, moved.previous


def test_eight_deployments_at_once(servers: Servers, client: MlflowClient, name: str) -> None:
    versions(client, name, 8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: deploy(servers, name, number, f"workflow-{number}"), range(1, 9)))
    moves = {str(v.version): read_history(v)[0] for v in registry.all_versions(client, name)}
    in_order = sorted(moves, key=lambda version: moves[version].at)
    assert moves[in_order[0]].took_over_from == ""
    for older, newer in itertools.pairwise(in_order):
        assert moves[newer].took_over_from == older
    assert AliasTable(client, name).read() == Aliases(in_order[-1], in_order[-2])


def test_by_hand_nobody_owns_the_move(servers: Servers, client: MlflowClient, name: str) -> None:
    versions(client, name, 1)
    assert deploy(servers, name, 1) == ("1", "")
    assert client.get_model_version(name, "1").tags["triton.workflow"].startswith("by-hand-")
