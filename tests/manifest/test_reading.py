"""Reading: positions, several documents, and everything that is not YAML or would not end."""

import pytest

from argosy.manifest.reading import MAX_BYTES, MAX_DOCUMENTS, Source, from_object, read
from argosy.manifest.tree import locate, unmarked

BOMB = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)
)
UNREADABLE = {
    "unclosed": (b"a: [1, 2", "not valid YAML"),
    "tab": (b"a:\n\tb: 1", "not valid YAML"),
    "control character": (b"a: \x00", "control characters"),
    "latin-1": (b"a: 1\nb: caf\xe9\n", "not valid UTF-8"),
    "half of utf-16": (b"\xff\xfea", "not valid UTF-16"),
    "deep flow": (b"[" * 100_000, "levels deep"),
    "deep block": (b"".join(b" " * i + b"a:\n" for i in range(500)), "levels deep"),
    "billion laughs": (BOMB, "aliases"),
    "alias of itself": (b"a: &a [*a]", "names no anchor"),
    "alias of nothing": (b"a: *b", "names no anchor"),
    "mapping as key": (b"{{a}}: b", "a key must be a text"),
    "list as key": (b"? [a]\n: b", "a key must be a text"),
    "merge of a text": (b"<<: x\na: 1", None),
    "merge of a list of texts": (b"<<: [x]\na: 1", "merges mappings only"),
}


def problems(source: Source) -> list[str]:
    return [p.message for d in source.documents for p in d.problems]


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_files_end_in_a_problem(name: str) -> None:
    data, fragment = UNREADABLE[name]
    found = problems(read("x.yaml", data))
    assert not found if fragment is None else any(fragment in p for p in found)


def test_a_huge_file_is_not_parsed() -> None:
    assert "more than" in problems(read("x.yaml", b" " * (MAX_BYTES + 1)))[0]


def test_the_documents_of_a_file_are_counted() -> None:
    source = read("x.yaml", b"--- 1\n" * (MAX_DOCUMENTS + 2))
    assert len(source.documents) == MAX_DOCUMENTS + 1
    assert "more than 5,000 documents" in problems(source)[-1]


def test_positions_are_those_of_keys_and_items() -> None:
    root = (
        read("x.yaml", b"spec:\n  templates:\n  - name: a\n    container:\n      image: x\n")
        .documents[0]
        .root
    )
    assert locate(root, ("spec", "templates", 0, "container", "image")) == (5, 7)
    assert locate(root, ("spec", "templates", 0)) == (3, 5)
    assert locate(root, ("spec", "templates", 0, "missing", "deeper")) == (3, 5)


def test_the_line_of_bytes_that_are_not_utf8_is_known() -> None:
    assert read("x.yaml", b"a: 1\nb: caf\xe9\n").documents[0].problems[0].mark == (2, 1)


def test_documents_before_the_broken_one_are_kept() -> None:
    documents = read("x.yaml", b"kind: Workflow\n---\nkind: CronWorkflow\n---\n{").documents
    assert [d.kind for d in documents] == ["Workflow", "CronWorkflow", ""]
    assert documents[-1].problems


def test_duplicate_keys_name_the_first_line_and_the_path() -> None:
    (problem,) = read("x.yaml", b"a:\n- b: 1\n- c: 1\n  d: 2\n  c: 3\n").documents[0].problems
    assert (problem.code, problem.mark, problem.path) == ("ARG004", (5, 3), ("a", 1, "c"))
    assert "line 3" in problem.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_yaml(encoding: str) -> None:
    assert read("x.yaml", "kind: Workflow # é\n".encode(encoding)).documents[0].kind == "Workflow"


def test_merge_keys_fill_in_what_is_not_said() -> None:
    root = read("x.yaml", b"a: &a {x: 1, z: 2}\nb:\n  <<: *a\n  z: 3\n").documents[0].root
    assert root["b"] == {"x": 1, "z": 3}


def test_json_is_yaml() -> None:
    assert read("x.json", b'{"kind": "Workflow",\n\t"spec": {"a": [1, true, null]}}').documents[0].root[
        "spec"
    ] == {"a": [1, True, None]}


def test_an_object_within_itself_is_a_problem() -> None:
    manifest: dict[str, object] = {"kind": "Workflow"}
    manifest["spec"] = manifest
    assert problems(from_object(manifest, "<x>"))


@pytest.mark.parametrize("text", [b"a: .inf", b"- .nan", b"a: {b: -.INF}"])
def test_a_number_that_json_has_not_stops_the_reading(text: bytes) -> None:
    assert "is no number that JSON" in problems(read("x.yaml", text))[0]


def test_a_key_that_is_null_stops_the_reading() -> None:
    assert "null; put it in quotes" in problems(read("x.yaml", b"~: 1"))[0]


def test_a_key_that_reads_as_another_text_is_a_problem_with_its_place() -> None:
    document = read("x.yaml", b"a:\n  on: x\n  0x10: y\n  12: z\n").documents[0]
    assert list(document.root["a"]) == ["true", "16", "12"]
    assert [(p.message, p.mark) for p in document.problems] == [
        ("the key 'on' is read as 'true'", (2, 3)),
        ("the key '0x10' is read as '16'", (3, 3)),
    ]


def test_a_tag_decides_before_the_text_does() -> None:
    root = read("x.yaml", b"[!!str 5, !mine 5, !!int '5', ! no]").documents[0].root
    assert root == ["5", "5", 5, False]


def test_a_number_remembers_how_it_was_written() -> None:
    root = read("x.yaml", b"a: 1.10\nb: [yes, x]\nc: ~\n").documents[0].root
    assert root.written["a"] == "1.10" and root["b"].written == {0: "yes"} and "b" not in root.written


def test_the_tree_can_be_had_without_places() -> None:
    root = unmarked(read("x.yaml", b"a: [{b: 1}]").documents[0].root)
    assert root == {"a": [{"b": 1}]} and type(root) is dict and type(root["a"]) is list
