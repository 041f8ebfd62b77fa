"use strict";
// The page of one run. Whatever a step wrote reaches the document by textContent alone.
(() => {
  const ROW = 26, FOLDED = 20;
  const MARKS = { Succeeded: "✔", Failed: "✖", Error: "⚠", Running: "●", Pending: "◌", Skipped: "○", Omitted: "○" };
  const $ = (id) => document.getElementById(id);
  let data = JSON.parse($("data").textContent);
  let chosen = -1, visible = [], children = [], index = new Map(), query = "";
  const open = new Map(); // what the reader folded or unfolded, by name

  const el = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value);
    }
    made.append(...inside.filter((part) => part !== null && part !== undefined));
    return made;
  };
  const drawing = (tag, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const took = (ms) => {
    const s = ms / 1000;
    if (s < 10) return `${s.toFixed(1)}s`;
    const two = (n) => String(Math.floor(n)).padStart(2, "0");
    if (s < 60) return `${Math.floor(s)}s`;
    return s < 3600 ? `${Math.floor(s / 60)}m${two(s % 60)}s` : `${Math.floor(s / 3600)}h${two((s % 3600) / 60)}m`;
  };
  const size = (bytes) => {
    let number = bytes, unit = 0;
    while (number >= 1000 && unit < 4) { number /= 1000; unit += 1; }
    return `${unit && number < 100 ? number.toFixed(1) : Math.round(number)} ${["B", "KB", "MB", "GB", "TB"][unit]}`;
  };
  const end = (node) => node.ended ?? (node.phase === "Running" ? data.asOf : node.began);
  const total = () => Math.max(1, ...data.nodes.map((n) => end(n) ?? 0));

  // ---- what is what
  function read() {
    index = new Map(data.nodes.map((node, place) => [node.name, place]));
    children = data.nodes.map(() => []);
    data.nodes.forEach((node, place) => { if (node.parent >= 0) children[node.parent].push(place); });
  }
  const isOpen = (place) => open.get(data.nodes[place].name) ?? children[place].length <= FOLDED;

  function list() {
    const only = $("only-bad").checked, words = query.toLowerCase();
    visible = [];
    const walk = (place, depth) => {
      visible.push([place, depth]);
      if (isOpen(place)) children[place].forEach((child) => walk(child, depth + 1));
    };
    if (only || words) {
      data.nodes.forEach((node, place) => {
        const bad = node.phase === "Failed" || node.phase === "Error";
        if ((!only || bad) && node.name.toLowerCase().includes(words)) visible.push([place, 0]);
      });
    } else data.nodes.forEach((node, place) => { if (node.parent < 0) walk(place, 0); });
    $("spacer").style.height = `${visible.length * ROW}px`;
    rows();
  }

  // ---- the head
  function head() {
    const phase = $("phase");
    phase.className = `badge ${data.phase}`;
    phase.textContent = data.phase;
    const began = data.startedAt ? new Date(data.startedAt).toLocaleString() : "";
    const time = data.seconds === null ? "" : took(data.seconds * 1000);
    $("facts").textContent = [data.pipeline, began, time, data.folder].filter(Boolean).join("  ·  ");
    $("message").textContent = data.message;
    $("message").hidden = !data.message;
    const counts = {};
    data.nodes.forEach((node, place) => { if (!children[place].length) counts[node.phase] = (counts[node.phase] || 0) + 1; });
    $("tally").replaceChildren(...Object.entries(counts).map(([name, count]) =>
      el("span", {}, el("span", { class: `mark ${name}` }, `${MARKS[name]} `), `${count} ${name}`)));
  }

  // ---- the graph
  function graph() {
    const dag = $("dag");
    $("no-graph").hidden = !!dag;
    if (!dag) return;
    dag.querySelectorAll("g.node").forEach((group) => {
      const place = index.get(group.dataset.step);
      const node = place === undefined ? null : data.nodes[place];
      const phase = node ? node.phase : "Pending";
      group.setAttribute("class", `node ${phase}${place === chosen ? " chosen" : ""}`);
      if (!node) return;
      const line = group.querySelector(":scope > text.detail, :scope > text > tspan.detail");
      const time = node.began === undefined ? "" : ` ${took(end(node) - node.began)}`;
      if (line) {
        line.dataset.plain ??= line.textContent.replace(/^◌ 00m00s\s*/, "");
        line.textContent = `${MARKS[phase]}${time || ` ${phase}`}  ${line.dataset.plain}`;
      }
      const items = children[place].length;
      group.setAttribute("aria-label", `${node.name}${node.role ? `, ${node.role}` : ""}, ${phase}${time}${items ? `, ${items} inside` : ""}`);
    });
  }

  // ---- the timeline: only rows in sight are in the document
  function rows() {
    const box = $("rows"), first = Math.max(0, Math.floor(box.scrollTop / ROW) - 5);
    const last = Math.min(visible.length, first + Math.ceil((box.clientHeight || 600) / ROW) + 12), whole = total();
    const made = [$("spacer")];
    for (let number = first; number < last; number += 1) made.push(row(number, whole));
    box.replaceChildren(...made);
    const marks = [0, 0.25, 0.5, 0.75].map((share) => {
      const mark = el("span", {}, took(share * whole));
      mark.style.left = `${share * 100}%`;
      return mark;
    });
    $("axis").replaceChildren(...marks);
  }
  function row(number, whole) {
    const [place, depth] = visible[number], node = data.nodes[place], inside = children[place].length;
    const track = el("div", { class: "track" });
    const bar = (kind, from, to, tip) => {
      const made = el("i", { class: kind, title: tip });
      made.style.left = `${(100 * from) / whole}%`;
      made.style.width = `${(100 * Math.max(0, to - from)) / whole}%`;
      track.append(made);
    };
    if (node.began !== undefined) {
      if (node.queued !== undefined && node.began - node.queued > 20) bar("wait", node.queued, node.began, `waited ${took(node.began - node.queued)}`);
      if (node.attempts) {
        node.attempts.forEach(([from, to, phase, , message], tried) => {
          if (tried) bar("wait", node.attempts[tried - 1][1], from, `waited ${took(from - node.attempts[tried - 1][1])}`);
          bar(phase, from, to, `attempt ${tried + 1}: ${phase}, ${took(to - from)} ${message}`);
        });
      } else bar(inside ? `${node.phase} whole` : node.phase, node.began, end(node), `${node.phase}, ${took(end(node) - node.began)}`);
      const label = el("span", {}, took(end(node) - node.began)), share = end(node) / whole;
      if (share > 0.85) label.style.right = `${100 - (100 * (node.queued ?? node.began)) / whole}%`;
      else label.style.left = `${100 * share}%`;
      track.append(label);
    }
    const fold = el("span", { class: "fold" }, inside ? (isOpen(place) ? "▾" : "▸") : "");
    const label = el("div", { class: "label", title: node.name },
      fold, el("span", { class: `mark ${node.phase}` }, MARKS[node.phase]), query || $("only-bad").checked ? node.name : node.shown,
      inside ? el("span", { class: "dim" }, `  ${inside}`) : null, node.role ? el("span", { class: "dim" }, `  ${node.role}`) : null, node.reused ? el("span", { class: "dim" }, "  reused") : null);
    label.style.paddingLeft = `${depth * 16}px`;
    const made = el("div", { class: `row${place === chosen ? " chosen" : ""}`, role: "treeitem", "data-step": node.name,
      "aria-level": depth + 1, "aria-selected": place === chosen,
      onclick: (event) => { if (event.target === fold) toggle(place); else choose(place); } }, label, track);
    if (inside) made.setAttribute("aria-expanded", isOpen(place));
    made.style.top = `${number * ROW}px`;
    return made;
  }
  function toggle(place, value = !isOpen(place)) {
    if (children[place].length) { open.set(data.nodes[place].name, value); list(); }
  }
  function keys(event) {
    const at = visible.findIndex(([place]) => place === chosen), page = Math.floor($("rows").clientHeight / ROW);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: visible.length - 1, PageDown: at + page, PageUp: at - page };
    if (event.key in steps) {
      const to = Math.min(visible.length - 1, Math.max(0, steps[event.key]));
      if (!visible.length) return;
      const top = to * ROW, box = $("rows");
      if (top < box.scrollTop) box.scrollTop = top;
      if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
      choose(visible[to][0]);
    } else if (event.key === "ArrowRight" && chosen >= 0) toggle(chosen, true);
    else if (event.key === "ArrowLeft" && chosen >= 0) {
      if (children[chosen].length && isOpen(chosen)) toggle(chosen, false);
      else if (data.nodes[chosen].parent >= 0) choose(data.nodes[chosen].parent);
    } else return;
    event.preventDefault();
  }

  // ---- one step
  function choose(place) {
    chosen = place;
    if (place >= 0) history.replaceState(null, "", `#${encodeURIComponent(data.nodes[place].name)}`);
    graph();
    rows();
    details();
  }
  const pairs = (values) => el("table", { class: "pairs" }, ...Object.entries(values).map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value === "" ? "-" : value))));
  const part = (title, ...inside) => [el("h3", {}, title), ...inside];
  function details() {
    const box = $("details"), node = data.nodes[chosen];
    if (!node) return box.replaceChildren(el("p", { class: "dim" }, "Choose a step to see its inputs, outputs, log and artifacts."));
    const template = data.templates[node.template] || {}, list = [];
    list.push(el("h2", {}, node.name), el("span", { class: `badge ${node.phase}` }, `${MARKS[node.phase]} ${node.phase}`));
    const facts = { ...(node.role ? { role: node.role } : {}), template: node.template };
    if (node.began !== undefined) facts.took = took(end(node) - node.began);
    if (node.began !== undefined && node.queued !== undefined) facts.waited = took(Math.max(0, node.began - node.queued));
    if (node.exit !== undefined) facts["exit code"] = String(node.exit);
    if (node.reused) facts["reused from"] = node.reused;
    if (template.image) facts.image = template.image;
    for (const kind of ["requests", "limits"]) {
      const amounts = Object.entries((template.resources || {})[kind] || {});
      if (amounts.length) facts[kind] = amounts.map(([name, amount]) => `${name} ${amount}`).join(", ");
    }
    if (template.command) facts.command = template.command;
    if (node.message) list.push(el("p", { class: node.phase === "Failed" || node.phase === "Error" ? "mark Failed" : "dim" }, node.message));
    list.push(...part("step", pairs(facts)));
    if (node.inputs || node.given) list.push(...part("inputs", pairs({ ...node.inputs, ...node.given })));
    const outputs = { ...node.outputs, ...(node.result === undefined ? {} : { "standard output": node.result }) };
    if (Object.keys(outputs).length) list.push(...part("outputs", pairs(outputs)));
    if (node.made) list.push(...part("artifacts", ...node.made.map(artifact)));
    if (node.attempts) list.push(...part("attempts", el("table", {}, ...node.attempts.map(([from, to, phase, code, message], n) =>
      el("tr", {}, el("td", {}, `${n + 1}`), el("td", {}, phase), el("td", {}, took(to - from)), el("td", {}, code === null ? "" : `exit code ${code}`), el("td", {}, message))))));
    if (node.logPath) list.push(...part("log", ...log(node)));
    box.replaceChildren(...list);
    box.scrollTop = 0;
  }
  function log(node) {
    const text = node.log || "", shown = el("pre", { class: "log", tabindex: "0" }), count = el("span", { class: "dim" });
    const find = el("input", { type: "search", placeholder: "search the log", "aria-label": "search the log" });
    const paint = () => {
      const word = find.value.toLowerCase(), lower = text.toLowerCase(), parts = [];
      let from = 0, hits = 0;
      for (let at; word && (at = lower.indexOf(word, from)) >= 0 && hits < 2000; hits += 1) {
        parts.push(text.slice(from, at), el("mark", {}, text.slice(at, at + word.length)));
        from = at + word.length;
      }
      shown.replaceChildren(...parts, text.slice(from) || (text ? "" : "(it wrote nothing)"));
      count.textContent = word ? `${hits} found` : "";
      const hit = shown.querySelector("mark");
      if (hit) shown.scrollTop = hit.offsetTop - shown.offsetTop - 40;
    };
    find.addEventListener("input", paint);
    paint();
    const left = node.leftOut ? el("p", { class: "dim" }, `The first ${size(node.leftOut)} are left out here: ${data.folder}/${node.logPath}`) : null;
    return [el("div", { class: "logbar" }, find, count), left, shown].filter(Boolean);
  }
  function artifact(made) {
    const box = el("details", { class: "preview" }, el("summary", {}, `${made.name}  `, el("span", { class: "dim" }, `${made.size === undefined ? "" : `${size(made.size)}  `}${made.path}`)));
    box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(preview(made)); });
    return box;
  }
  function preview(made) {
    const more = made.leftOut ? `\n… ${size(made.leftOut)} more` : "";
    if (made.kind === "image") return el("img", { src: made.content, alt: made.name });
    if (made.kind === "html") return el("iframe", { sandbox: "", srcdoc: made.content, title: made.name });
    if (made.kind === "csv") return csv(made.content, more);
    if (made.kind === "json" && !more) {
      try { return el("pre", {}, JSON.stringify(JSON.parse(made.content), null, 2)); } catch { /* shown as text */ }
    }
    const why = { elsewhere: "It lies in the cluster's storage.", missing: "It is no longer there.", large: "It is too large to be shown here.", binary: "It is binary." };
    return made.content === undefined ? el("p", { class: "dim" }, why[made.kind] || "") : el("pre", {}, made.content + more);
  }
  function csv(text, more) {
    const split = text.includes("\t") && !text.includes(",") ? "\t" : ",";
    const cellsOf = (line) => {
      const cells = [""];
      let quoted = false;
      for (let at = 0; at < line.length; at += 1) {
        if (line[at] === '"' && quoted && line[at + 1] === '"') cells[cells.length - 1] += line[at += 1];
        else if (line[at] === '"') quoted = !quoted;
        else if (line[at] === split && !quoted) cells.push("");
        else cells[cells.length - 1] += line[at];
      }
      return cells.slice(0, 40);
    };
    const lines = text.split(/\r?\n/).filter(Boolean).slice(0, 200).map(cellsOf);
    return el("div", { class: "scroll" }, el("table", {}, ...lines.map((cells, n) => el("tr", {}, ...cells.map((cell) => el(n ? "td" : "th", {}, cell))))), more);
  }

  // ---- gates, training, versions, values
  // Only an address of the web is a link; any other is text.
  const link = (address, text = address) => (/^https?:\/\//.test(address) ? el("a", { href: address, rel: "noreferrer", target: "_blank" }, text) : el("code", {}, address));
  function gates() {
    $("view-gates").replaceChildren(...data.gates.map((gate) => el("div", { class: "card" },
      el("h2", {}, gate.step, " ", el("span", { class: `badge ${gate.verdict}` }, gate.verdict)), el("p", { class: "dim" }, gate.reason),
      gate.rules.length ? el("table", {}, el("tr", {}, ...["rule", "number", "verdict"].map((name) => el("th", {}, name))),
        ...gate.rules.map((rule) => el("tr", {}, el("td", {}, rule.rule), el("td", {}, rule.number),
          el("td", {}, rule.holds === null ? "-" : el("span", { class: `badge ${rule.holds ? "passed" : "failed"}` }, rule.holds ? "holds" : "does not hold"))))) : null)));
  }
  function curve(name, points) {
    const wide = 560, high = 190, left = 52, top = 14, bottom = 24, box = drawing("svg", { class: "curve", viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": name });
    const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const x = (v) => left + ((wide - left - 10) * (v - x0)) / (x1 - x0 || 1), y = (v) => top + ((high - top - bottom) * (y1 - v)) / (y1 - y0 || 1);
    [y0, (y0 + y1) / 2, y1].forEach((v) => {
      box.append(drawing("line", { x1: left, x2: wide - 10, y1: y(v), y2: y(v) }), drawing("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, String(Number(v.toPrecision(4)))));
    });
    box.append(drawing("text", { x: left, y: high - 6 }, String(x0)), drawing("text", { x: wide - 10, y: high - 6, "text-anchor": "end" }, String(x1)));
    box.append(drawing("path", { d: points.map((p, n) => `${n ? "L" : "M"}${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(""), stroke: "var(--accent)" }));
    return el("div", {}, el("h3", {}, `${name}  ${Number(ys[ys.length - 1].toPrecision(5))}`), box);
  }
  function training() {
    $("view-training").replaceChildren(...data.training.map((one) => el("div", { class: "card" },
      el("h2", {}, `${one.step}, run ${one.runId}`), one.problem ? el("p", { class: "dim" }, one.problem) : null,
      one.link ? el("p", {}, link(one.link, "in MLflow")) : null,
      ...Object.entries(one.metrics || {}).filter(([, points]) => points.length > 1).map(([name, points]) => curve(name, points)),
      pairs(Object.fromEntries(Object.entries(one.metrics || {}).filter(([, points]) => points.length === 1).map(([name, points]) => [name, String(points[0][1])]))),
      ...(one.artifacts || []).map((made) => el("div", {}, el("h3", {}, made.name), preview(made))))));
  }
  function versions() {
    const version = (value) => value || "none";
    const deployed = (one) => el("div", { class: "card" }, el("h2", {}, `${one.model}, by ${one.step}`),
      el("table", { class: "pairs aliases" }, el("tr", {}, el("th", {}, "alias"), el("th", {}, "before"), el("th", {}, "after")),
        ...["live", "previous"].map((name) => el("tr", {}, el("td", {}, name), el("td", {}, one.before ? version(one.before[name]) : "unknown"), el("td", {}, version(one.after[name]))))),
      one.problem ? el("p", { class: "dim" }, one.problem) : null,
      el("table", { class: "pairs" }, ...Object.entries(one.links).map(([name, address]) => el("tr", {}, el("th", {}, name), el("td", {}, link(address))))));
    $("view-versions").replaceChildren(
      ...data.deployments.map(deployed),
      el("div", { class: "card" }, el("h2", {}, "versions that steps told"), el("table", { class: "pairs" }, ...data.versions.map((v) => el("tr", {}, el("td", {}, v.step), el("td", {}, v.name), el("td", {}, v.value))))),
      el("div", { class: "card" }, el("h2", {}, "servers and places"), el("table", { class: "pairs" }, ...data.links.map((one) => el("tr", {}, el("th", {}, one.name), el("td", {}, link(one.address)))))));
  }
  const values = () => $("view-values").replaceChildren(el("div", { class: "card" }, el("h2", {}, "parameters"), pairs(data.parameters)), el("div", { class: "card" }, el("h2", {}, "outputs"), pairs(data.outputs)));

  // ---- views
  const VIEWS = [["graph", "Graph", () => true], ["timeline", "Timeline", () => true], ["gates", "Gates", () => data.gates.length],
    ["training", "Training", () => data.training.length], ["versions", "Versions", () => data.versions.length || data.links.length], ["values", "Parameters and outputs", () => true]];
  let view = data.nodes.length > 200 || !$("dag") ? "timeline" : "graph";
  function tabs() {
    const bar = document.querySelector("nav"), held = document.activeElement && document.activeElement.dataset.view;
    bar.replaceChildren(...VIEWS.filter(([, , has]) => has()).map(([name, title]) => el("button", { type: "button", role: "tab", "data-view": name, "aria-controls": `view-${name}`,
      "aria-selected": name === view, tabindex: name === view ? "0" : "-1", onclick: () => show(name) }, title)));
    VIEWS.forEach(([name]) => { $(`view-${name}`).hidden = name !== view; });
    if (held) bar.querySelector(`[data-view="${view}"]`)?.focus();
  }
  function show(name) { view = name; tabs(); if (name === "timeline") rows(); }
  document.querySelector("nav").addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const all = [...document.querySelectorAll("nav button")], at = all.findIndex((b) => b.dataset.view === view);
    show(all[(at + move + all.length) % all.length].dataset.view);
    document.querySelector('nav [aria-selected="true"]').focus();
  });

  function paint() { read(); head(); tabs(); graph(); list(); gates(); training(); versions(); values(); }

  const theme = (name) => { document.documentElement.dataset.theme = name; };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let own = false;
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => { if (!own) theme(dark.matches ? "dark" : "light"); });
  $("theme").addEventListener("click", () => { own = true; theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); });
  $("rows").addEventListener("scroll", () => requestAnimationFrame(rows));
  $("rows").addEventListener("keydown", keys);
  addEventListener("resize", () => requestAnimationFrame(rows));
  $("find").addEventListener("input", (event) => { query = event.target.value; list(); });
  $("only-bad").addEventListener("change", list);
  const dag = $("dag");
  const stepOf = (event) => { const group = event.target.closest("g.node"); return group ? index.get(group.dataset.step) : undefined; };
  dag?.addEventListener("click", (event) => { const place = stepOf(event); if (place !== undefined) choose(place); });
  dag?.addEventListener("keydown", (event) => {
    const place = stepOf(event);
    if (place === undefined || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    choose(place);
  });

  paint();
  const asked = decodeURIComponent(location.hash.slice(1));
  const bad = data.nodes.findIndex((n, place) => (n.phase === "Failed" || n.phase === "Error") && !children[place].length);
  if (index.has(asked)) choose(index.get(asked));
  else if (bad >= 0) choose(bad);
  else details();
  document.documentElement.dataset.ready = "1";

  // ---- while the run goes on, its server has news
  if (location.protocol === "http:" && data.state === "running") {
    const ask = async () => {
      try {
        const fresh = await (await fetch("data.json", { cache: "no-store" })).json();
        const before = chosen >= 0 ? data.nodes[chosen] : null;
        data = fresh;
        read();
        chosen = before && index.has(before.name) ? index.get(before.name) : -1;
        paint();
        if (!before || JSON.stringify(before) !== JSON.stringify(data.nodes[chosen])) details();
      } catch { return; } // the server ended with the run
      if (data.state === "running") setTimeout(ask, 1000);
    };
    setTimeout(ask, 1000);
  }
})();
