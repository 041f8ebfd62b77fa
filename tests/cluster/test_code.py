"""The code of steps in a cluster: made before the workflow, and gone with the last that uses it."""

import base64
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.cluster import ArgosySubmitter
from tests.cluster import programs
from tests.cluster.conftest import Run
from tests.cluster.server import TOKEN, Server


@pytest.fixture
def hello() -> Path:
    path = Path("flow_hello.py")
    path.write_text(programs.HELLO, encoding="utf-8")
    return path


def code(server: Server) -> list[dict[str, Any]]:
    return [found for (kind, _, _), found in server.store.objects.items() if kind == "configmaps"]


def owners(server: Server) -> list[str]:
    return [o["name"] for m in code(server) for o in m["metadata"].get("ownerReferences") or ()]


def workflows(server: Server) -> list[str]:
    return [name for kind, _, name in server.store.objects if kind == "workflows"]


def test_the_code_is_there_before_the_workflow(server: Server, argosy: Run, hello: Path) -> None:
    result = argosy("submit", hello)
    assert result.exit_code == 0, result.output
    assert [kind for kind, _, _ in server.store.objects] == ["configmaps", "workflows"]
    (found,) = code(server)
    assert found["immutable"] is True and found["metadata"]["namespace"] == "team"
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(found["binaryData"]["code.zip"])))
    assert archive.read("flow_hello.py").decode() == programs.HELLO
    workflow = server.store.get("workflows", "team", workflows(server)[0])
    volumes = [v for t in workflow["spec"]["templates"] for v in t.get("volumes", ())]
    assert volumes == [{"name": "argosy-code", "configMap": {"name": found["metadata"]["name"]}}]


def test_it_belongs_to_each_workflow_that_uses_it(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("submit", hello).exit_code == argosy("submit", hello).exit_code == 0
    assert len(code(server)) == 1
    assert owners(server) == workflows(server)


def test_a_template_keeps_it(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("submit", hello).exit_code == 0
    assert argosy("submit", hello, "--kind", "WorkflowTemplate").exit_code == 0
    assert owners(server) == []
    assert argosy("submit", hello).exit_code == 0
    assert owners(server) == []


def test_code_that_is_gone_meanwhile_is_made_again(
    server: Server, argosy: Run, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = server.store.create

    def and_forget(plural: str, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        made = create(plural, namespace, body)
        if plural == "workflows":
            server.store.delete("configmaps", "team", code(server)[0]["metadata"]["name"])
        return made

    monkeypatch.setattr(server.store, "create", and_forget)
    assert argosy("submit", hello).exit_code == 0
    assert owners(server) == workflows(server)


def test_other_content_under_its_name_is_refused(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("submit", hello).exit_code == 0
    code(server)[0]["metadata"]["annotations"] = {}
    result = argosy("submit", hello)
    assert result.exit_code == 1 and len(workflows(server)) == 1
    assert "with other content in namespace 'team'" in result.stderr


def test_a_workflow_counts_though_its_code_could_not_be_bound_to_it(
    server: Server, argosy: Run, hello: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults = [None, None, 403]
    result = argosy("submit", hello)
    assert result.exit_code == 0 and len(workflows(server)) == 1
    assert "is not bound to the life of" in caplog.text


def test_argo_server_has_no_place_for_it(
    server: Server, argosy: Run, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    result = argosy("submit", hello, "--server", server.url)
    assert result.exit_code == 2 and "argosy compile FILE.py -o DIR" in result.stderr
    assert not server.store.objects


def test_a_compiled_file_brings_the_code_beside_it(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("compile", hello, "-o", "out").exit_code == 0
    assert argosy("submit", "out/hello.yaml").exit_code == 0
    assert owners(server) == workflows(server)


def test_a_compiled_file_without_its_code_is_refused(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("compile", hello, "-o", "out").exit_code == 0
    Path("out/hello.code.yaml").rename("elsewhere.yaml")
    for file in ("out/hello.yaml", "out/hello.template.yaml"):
        result = argosy("submit", file)
        assert result.exit_code == 2 and not server.store.objects
        assert "is in no file beside the manifest and not in namespace 'team'; compile again" in result.stderr


def test_a_compiled_file_whose_code_is_there_uses_it(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("compile", hello, "-o", "out").exit_code == 0
    assert argosy("submit", "out/hello.yaml").exit_code == 0
    Path("out/hello.code.yaml").unlink()
    assert argosy("submit", "out/hello.yaml").exit_code == 0
    assert owners(server) == workflows(server) and len(workflows(server)) == 2
    server.forbidden = ("configmaps",)
    assert argosy("submit", "out/hello.yaml").exit_code == 0
    assert len(workflows(server)) == 3


def test_argo_server_takes_a_compiled_file_whose_code_was_applied(
    server: Server, argosy: Run, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert argosy("compile", hello, "-o", "out").exit_code == 0
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    result = argosy("submit", "out/hello.yaml", "--server", server.url)
    assert result.exit_code == 0 and len(workflows(server)) == 1
    assert re.search(r"takes no code: ConfigMap 'argosy-code-\w+' must have been applied\n", result.stderr)


def test_a_second_workflow_counts_before_the_first_is_noted(
    server: Server, argosy: Run, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = server.store.create
    busy: list[str] = []

    def and_again(plural: str, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        if plural == "workflows" and not busy:
            busy.append(plural)
            assert argosy("submit", hello).exit_code == 0
        return create(plural, namespace, body)

    monkeypatch.setattr(server.store, "create", and_again)
    assert argosy("submit", hello).exit_code == 0
    assert len(workflows(server)) == 2
    assert sorted(owners(server)) == sorted(workflows(server))


def test_code_that_somebody_applied_stays_nobodys(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("compile", hello, "-o", "out").exit_code == 0
    applied = yaml.safe_load(Path("out/hello.code.yaml").read_text(encoding="utf-8"))
    server.store.create("configmaps", "team", applied)
    assert argosy("submit", hello).exit_code == 0
    assert owners(server) == []


def test_a_dry_run_tells_of_it(server: Server, argosy: Run, hello: Path) -> None:
    result = argosy("submit", hello, "--dry-run")
    assert result.exit_code == 0 and not server.requests
    assert "the ConfigMap 'argosy-code-" in result.stderr and "would be created first" in result.stderr


def test_a_programs_own_submitter_sends_it(server: Server, couler: Run) -> None:
    text = "from argosy.cluster import ArgosySubmitter\n" + programs.WITH_COMPONENT
    Path("flow_program.py").write_text(text + "couler.run(submitter=ArgosySubmitter())\n", encoding="utf-8")
    assert couler("run", "flow_program.py").exit_code == 0
    assert owners(server) == workflows(server)
    assert ArgosySubmitter is not None


def test_prune_code_lists_and_deletes_what_nothing_uses(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("submit", hello, "--kind", "WorkflowTemplate").exit_code == 0
    (found,) = code(server)
    name = found["metadata"]["name"]
    result = argosy("prune-code")
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "nothing in namespace 'team' is unused" in result.stderr
    server.store.delete("workflowtemplates", "team", "hello")
    server.store.create("configmaps", "team", {"kind": "ConfigMap", "metadata": {"name": "mine"}})
    assert argosy("prune-code").stdout == f"{name}\n"
    assert len(code(server)) == 2
    assert argosy("prune-code", "--delete").stdout == f"{name}  deleted\n"
    assert [m["metadata"]["name"] for m in code(server)] == ["mine"]


def test_code_of_a_running_workflow_is_used(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("submit", hello).exit_code == 0
    code(server)[0]["metadata"].pop("ownerReferences")
    assert argosy("prune-code").stdout == ""


def test_code_of_a_template_of_the_whole_cluster_is_used(server: Server, argosy: Run, hello: Path) -> None:
    assert argosy("submit", hello).exit_code == 0
    assert argosy("submit", hello, "--kind", "ClusterWorkflowTemplate").exit_code == 0
    assert argosy("submit", hello, "--kind", "WorkflowTemplate").exit_code == 0
    assert argosy("submit", hello).exit_code == 0
    assert owners(server) == []
    for name in workflows(server):
        server.store.delete("workflows", "team", name)
    server.store.delete("workflowtemplates", "team", "hello")
    assert argosy("prune-code").stdout == ""
    server.forbidden = ("clusterworkflowtemplates",)
    assert argosy("prune-code", "--delete").stdout == "" and len(code(server)) == 1
    server.forbidden = ()
    server.store.delete("clusterworkflowtemplates", "", "hello")
    assert argosy("prune-code").stdout == f"{code(server)[0]['metadata']['name']}\n"


def test_applied_code_of_a_template_of_the_whole_cluster_is_used(
    server: Server, argosy: Run, hello: Path
) -> None:
    kind = ("--kind", "ClusterWorkflowTemplate")
    assert argosy("submit", hello, *kind).exit_code == 0
    (made,) = code(server)
    server.store.delete("configmaps", "team", made["metadata"]["name"])
    assert argosy("compile", hello, *kind, "-o", "out").exit_code == 0
    applied = yaml.safe_load(Path("out/hello.code.yaml").read_text(encoding="utf-8"))
    server.store.create("configmaps", "team", applied)
    assert argosy("prune-code", "--delete").stdout == "" and len(code(server)) == 1
