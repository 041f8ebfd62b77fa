"""The page of a run: what stands in it, and how it behaves in a browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from argosy.local.node import Node, Phase
from argosy.local.runs.page import Previews, log_end, page_data, render_page, write_page
from argosy.local.runs.record import Record
from argosy.local.runs.serve import serving
from argosy.local.state import read_state
from tests.local.runs.browser import CHROMIUM, Browser, browsing
from tests.local.runs.conftest import GATED, Argosy, Made

NASTY = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
GROUP = "- {name: group, steps: [[{name: inner, template: tidy}]]}\n"
LOOP = """
arguments: {parameters: [{name: word, value: plain}]}
templates:
- name: main
  dag:
    tasks:
    - {name: first, template: say}
    - {name: each, template: ok, depends: first, withSequence: {count: "30"}}
    - {name: group, template: group, depends: each}
- {name: group, steps: [[{name: inner, template: again}]]}
- name: again
  retryStrategy: {limit: 1}
  container: {image: x, command: [sh, -c, "test {{retries}} = 1"]}
- name: say
  outputs: {artifacts: [{name: page, path: /tmp/a.html}, {name: table, path: /tmp/a.csv}]}
  script:
    image: registry.example/tools:1
    command: [sh]
    source: |
      for i in 1 2 3; do echo "line $i of {{workflow.parameters.word}}"; done
      echo "<p>hello</p>{{workflow.parameters.word}}" > /tmp/a.html; printf 'a,b\\n1,"x, y"\\n' > /tmp/a.csv
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def show(browser: Browser, record: Record) -> None:
    browser.events.clear()
    browser.open(write_page(record).as_uri())


def view(browser: Browser, name: str) -> None:
    browser.click(f'nav [data-view="{name}"]')


def test_a_click_on_a_box_shows_the_step(made: Made, browser: Browser) -> None:
    show(browser, made(LOOP))
    assert "Succeeded" in browser.text("header")
    browser.click('#dag [data-step="first"]')
    details = browser.text("#details")
    assert "registry.example/tools:1" in details and "line 3 of plain" in details
    browser.click('#dag [data-step="group.inner"]')
    assert "exit code 1" in browser.text("#details")
    assert browser.complaints() == []


def test_a_run_that_failed_opens_at_what_failed(made: Made, browser: Browser) -> None:
    show(browser, made(GATED))
    assert browser.text("#details").startswith("bad")
    assert "the reason" in browser.text("#details .log")
    assert browser.value("document.querySelector('#dag [data-step=never]').classList.contains('Omitted')")


ENDING = """
onExit: tidy
hooks: {done: {template: ok, expression: workflow.status == "Running"}}
templates:
- {name: main, dag: {tasks: [{name: one, template: ok, onExit: ok}]}}
- {name: tidy, container: {image: x, command: [echo, bye]}}
"""


@pytest.mark.parametrize(
    ("spec", "boxes"),
    [
        (ENDING, ["one", "onExit"]),
        (ENDING.replace("onExit: tidy", "onExit: group") + GROUP, ["one", "onExit.inner"]),
    ],
    ids=["a program", "a graph"],
)
def test_the_exit_handler_is_marked(made: Made, spec: str, boxes: list[str]) -> None:
    record = made(spec)
    page = render_page(record)
    assert re.findall('data-step="([^"]+)"', page) == boxes
    assert '<tspan class="name">on exit</tspan>' in page
    roles = {n["name"]: n.get("role") for n in page_data(record)["nodes"]}
    inner = {"onExit.inner": "part of the exit handler"} if "onExit.inner" in boxes else {}
    told = {"one.onExit": "exit handler of one", "hooks.done": "hook 'done'", "onExit": "exit handler"}
    assert roles == {"one": None, **told, **inner}


def test_the_exit_handler_says_so_in_its_panel(made: Made, browser: Browser) -> None:
    show(browser, made(ENDING))
    browser.click('#dag [data-step="onExit"]')
    details = browser.text("#details")
    assert "exit handler" in details and "bye" in details
    assert "exit handler" in browser.text("#rows")
    assert browser.complaints() == []


def test_the_log_is_searched(made: Made, browser: Browser) -> None:
    show(browser, made(LOOP))
    browser.click('#dag [data-step="first"]')
    browser.click('#details input[type="search"]')
    browser.write("line 2")
    assert browser.count("#details mark") == 1
    assert "1 found" in browser.text("#details .logbar")


def test_artifacts_have_previews(made: Made, browser: Browser) -> None:
    show(browser, made(LOOP))
    browser.click('#dag [data-step="first"]')
    browser.click("#details details:nth-of-type(2) summary")
    browser.until("document.querySelectorAll('#details .preview td').length === 2")
    assert browser.value("document.querySelectorAll('#details .preview td')[1].textContent") == "x, y"


def test_loops_are_folded_and_keys_walk_the_timeline(made: Made, browser: Browser) -> None:
    show(browser, made(LOOP))
    view(browser, "timeline")
    assert browser.count(".row") == 4
    browser.value("document.querySelector('#rows').focus()")
    browser.press("ArrowDown", "ArrowDown", "ArrowRight")
    assert browser.value("document.querySelectorAll('.row[aria-level=\"2\"]').length") >= 10
    browser.press("ArrowDown")
    assert browser.text("#details h2") == "each(0:0)"
    browser.press("ArrowLeft", "ArrowLeft")
    assert browser.count(".row") == 4
    browser.press("End")
    assert browser.text("#details h2") == "group.inner"


def test_waiting_is_told_from_working(made: Made, browser: Browser) -> None:
    show(browser, made(LOOP))
    view(browser, "timeline")
    row = '.row[data-step="group.inner"] .track'
    assert (browser.count(f"{row} .Failed"), browser.count(f"{row} .Succeeded")) == (1, 1)
    browser.click('.row[data-step="each"] .fold')
    assert browser.count('.row[aria-level="2"] .wait') > 0  # 30 items, four places


def test_gates_are_a_table_of_rule_number_and_verdict(made: Made, browser: Browser) -> None:
    show(browser, made(GATED))
    view(browser, "gates")
    rows = browser.value("[...document.querySelectorAll('#view-gates tr')].map((r) => r.innerText)")
    assert rows[1].split("\t") == ["accuracy >= least", "0.97 >= 0.9", "holds"]


def test_all_of_it_works_from_the_keyboard(made: Made, browser: Browser) -> None:
    show(browser, made(GATED))
    browser.value("document.querySelector('nav [aria-selected=true]').focus()")
    browser.press("ArrowRight", "ArrowRight")
    assert not browser.value("document.querySelector('#view-gates').hidden")
    browser.value("document.querySelector('#dag [data-step=make]').focus()")
    view(browser, "graph")
    browser.value("document.querySelector('#dag [data-step=make]').focus()")
    browser.press("Enter")
    assert browser.text("#details h2") == "make"


def test_light_and_dark(made: Made, browser: Browser) -> None:
    record = made(GATED)
    colours = []
    for dark in (False, True):
        browser.dark(dark)
        show(browser, record)
        colours.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
    browser.click("#theme")
    assert browser.value("getComputedStyle(document.body).backgroundColor") == colours[0]


def test_no_steps_content_becomes_script(made: Made, browser: Browser) -> None:
    record = made(LOOP, word=NASTY)
    text = (record.folder / "run.json").read_text()
    (record.folder / "run.json").write_text(text.replace('"message": ""', f'"message": {json.dumps(NASTY)}'))
    show(browser, Record.read(record.folder))
    browser.click('#dag [data-step="first"]')
    browser.click("#details details summary")
    for name in ("timeline", "values"):
        view(browser, name)
    assert browser.value("window.hacked") is None
    assert NASTY in browser.text("#view-values")
    assert browser.count("body img") == 0


def test_no_name_picture_or_address_becomes_script(made: Made, browser: Browser) -> None:
    record = made(LOOP, word=NASTY)
    svg = "<svg onload='parent.hacked = 1'><script>parent.hacked = 1</script></svg>"
    (record.folder / "a.svg").write_text(svg)
    document = json.loads((record.folder / "run.json").read_text())
    first = document["nodes"][0]
    first["outputs"] |= {"parameters": {NASTY: NASTY}, "result": NASTY}
    first["outputs"]["artifacts"] |= {NASTY: "a.svg"}
    document["parameters"] |= {"evil": "javascript:window.hacked=1", "good": "https://good.example/"}
    text = json.dumps(document).replace('"first"', json.dumps(NASTY))
    (record.folder / "run.json").write_text(text)
    manifest = (record.folder / "workflow.yaml").read_text()
    (record.folder / "workflow.yaml").write_text(
        manifest.replace("name: first", f"name: {json.dumps(NASTY)}")
    )
    told = {
        "training": [{"step": NASTY, "runId": NASTY, "link": "javascript:window.hacked=1"}],
        "deployments": [],
    }
    browser.open(write_page(Record.read(record.folder), told).as_uri())
    browser.value("document.querySelector('#dag g.node').dispatchEvent(new Event('click', {bubbles: true}))")
    for number in (1, 2, 3):
        # A preview comes after its box has opened, and moves the next one.
        box = f"#details details:nth-of-type({number})"
        browser.click(f"{box} summary")
        browser.until(f"document.querySelector({json.dumps(box)}).children.length > 1")
    browser.until("document.querySelector('#details iframe')?.getAttribute('sandbox') === ''")
    browser.until(f"document.querySelector('#details').innerText.includes({json.dumps(svg)})")
    assert browser.text("#details h2") == NASTY
    for name in ("timeline", "training", "versions", "values", "graph"):
        view(browser, name)
    assert browser.value("window.hacked") is None
    assert browser.count("body img") == 0 and browser.count("body script") == 2
    assert browser.value("[...document.links].map((one) => one.href)") == ["https://good.example/"]


def many(made: Made, count: int) -> Record:
    """A run of many steps that said something, made from one of a single step."""
    record = made("templates: [{name: main, steps: [[{name: a, template: ok, withSequence: {count: '2'}}]]}]")
    state = read_state(record.folder)
    loop, first = (Node.from_dict(raw) for raw in state["nodes"][:2])
    nodes = [loop.to_dict()]
    log = record.folder / "steps" / "long.log"
    log.write_text("a line of some length, with numbers 0123456789\n" * 400)
    for number in range(count):
        node = replace(first, name=f"a({number}:{number})", log="steps/long.log")
        nodes.append(node.to_dict())
    (record.folder / "run.json").write_text(json.dumps({**state, "nodes": nodes}))
    return Record.read(record.folder)


def test_a_run_of_1000_steps_is_small_and_folded(made: Made, browser: Browser) -> None:
    path = write_page(many(made, 1000))
    assert path.stat().st_size < 3_000_000
    browser.open(path.as_uri())
    browser.click('.row[data-step="a"] .fold')
    assert browser.count(".row") < 100
    browser.value("document.querySelector('#rows').scrollTop = 1e9")
    browser.until("document.querySelector('.row[data-step=\"a(999:999)\"]')")


def test_wide_graphs_fold_what_is_alike(made: Made) -> None:
    tasks = ", ".join(f"{{name: t{n}, template: ok}}" for n in range(300))
    page = render_page(made(f"templates: [{{name: main, dag: {{tasks: [{tasks}]}}}}]"))
    assert page.count('class="node"') == 1 and "and 299 like it" in page


def test_the_page_needs_nothing_else(made: Made) -> None:
    page = render_page(made(GATED))
    assert not re.findall(r'(?:src|href)="?(?:https?:)?//', page)
    assert "default-src 'none'" in page


def test_previews_stop_where_there_is_no_room(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 100_000)
    (tmp_path / "b.bin").write_bytes(b"\0\1")
    previews = Previews(left=30_000)
    place = tmp_path / "a.txt"
    assert previews.of("a", "a.txt", place)["leftOut"] == 80_000
    assert previews.of("a", "a.txt", place)["leftOut"] == 90_000
    assert previews.of("a", "a.txt", place)["kind"] == "large"
    assert previews.of("gone", "gone", tmp_path / "gone")["kind"] == "missing"


def test_a_log_keeps_its_last_whole_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\ntwo\n 10%\r 90%\r100%\n")
    assert log_end(tmp_path / "log", 1000) == ("one\ntwo\n100%\n", 0)
    assert log_end(tmp_path / "log", 20) == ("two\n100%\n", 4)


def test_open_writes_the_page_and_says_where(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    record = made(GATED)
    done = argosy("open", "last", "--no-browser", "-o", str(tmp_path / "sent.html"))
    assert done.stdout == f"{tmp_path / 'sent.html'}\n"
    assert (tmp_path / "sent.html").read_text().startswith("<!doctype html>")
    assert not (record.folder / "page.html").exists()
    assert argosy("open", "last", "--no-browser").stdout == f"{record.folder / 'page.html'}\n"
    assert (record.folder / "page.html").read_text().startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_is_one_line(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    made(GATED)
    (tmp_path / "taken").write_text("")
    done = argosy("open", "last", "--no-browser", "-o", str(tmp_path / "taken" / "sent.html"))
    told = f"argosy: {tmp_path / 'taken' / 'sent.html'} cannot be written: File exists\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", told)


def ask(address: str, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address.split("/")[2], timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_server_tells_the_newest_state_on_loopback_alone(made: Made) -> None:
    record = made(GATED)
    with serving(record.folder) as address:
        assert address.startswith("http://127.0.0.1:")
        assert json.loads(ask(address, "/data.json")[1])["phase"] == "Failed"
        assert ask(address, "/../request.json")[0] == 404
        assert ask(address, "/", "evil.example:80")[0] == 403


def test_a_page_that_is_served_follows_the_run(made: Made, browser: Browser) -> None:
    from argosy.local import NullReporter
    from argosy.local.state import RunState, lock

    folder = made(GATED).folder
    held = lock(folder)
    state = RunState(folder, {**read_state(folder), "startedAt": "2026-01-01T00:00:00.000Z"}, NullReporter())
    state.identity.pop("nodes")
    state.put(Node("make", "make", "Container", Phase.RUNNING, started_at="2026-01-01T00:00:01.000Z"))
    try:
        with serving(folder) as address:
            browser.open(address)
            assert "Running" in browser.text("header .badge")
            state.put(Node("make", "make", "Container", Phase.FAILED, started_at="2026-01-01T00:00:01.000Z"))
            state.close(Phase.FAILED, {})
            browser.until("document.querySelector('header .badge').textContent === 'Failed'")
    finally:
        os.close(held)


def test_1000_steps_become_data_quickly(made: Made) -> None:
    record = many(made, 1000)
    before = time.process_time()
    data = page_data(record)
    assert len(data["nodes"]) == 1001
    assert time.process_time() - before < 5
