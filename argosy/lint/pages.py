"""`python -m argosy.lint.pages`: write docs/rules/, one page a rule, from the rules' docstrings."""

import re
import sys
import textwrap
from pathlib import Path

from argosy.lint.registry import SECTIONS, Rule, rules

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "rules"
FAMILIES = {
    "ARG0": "Reading and schema",
    "ARG1": "Names",
    "ARG2": "Templates and references",
    "ARG3": "Inputs, outputs and variables",
    "ARG4": "Graphs, conditions, loops and hooks",
    "ARG5": "Containers and resources",
    "ARG6": "Metrics, schedules and reliability",
    "ARG7": "Security",
}

INTRODUCTION = """\
`argosy lint PATH ...` checks Workflows, WorkflowTemplates, ClusterWorkflowTemplates and CronWorkflows
without a cluster and without Argo's binary. Errors are what Argo 4 refuses, and what cannot work once it
runs; they make the exit code 1. Warnings are worth a look; `--strict` makes errors of them.

References are looked up in all files given, so give the WorkflowTemplates along with what uses them:
`argosy lint workflows/ templates/`. `--select ARG3` and `--ignore ARG509,ARG510` choose rules by code or
family, `--format text|json|github|sarif` the output; `--fix` rewrites what is safe to rewrite, and
`--explain CODE` shows a page.

A comment silences findings: `# argosy: ignore[ARG701]` at the end of a line, or on a line of its own for
the next one; `# argosy: ignore-file[ARG701]` for the whole file.

From Python, `argosy.lint.lint_manifest(manifest)` takes a dict or YAML text and returns a list of
`Violation`."""


def page(rule: Rule) -> str:
    """One rule as Markdown: what, why, a bad and a good example."""
    parts = re.split(rf"^({'|'.join(SECTIONS)})\s*", rule.doc, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    lines = [f"# {rule.code}: {rule.name}", "", f"Severity: {rule.severity}", "", parts[0].strip(), ""]
    lines += ["## Why", "", sections["Why:"].strip(), ""]
    for title in ("Bad", "Good"):
        example = textwrap.dedent("    " + sections[f"{title}:"].rstrip())
        lines += [f"## {title}", "", "```yaml", example.strip(), "```", ""]
    lines += [f"Silence it on one line with `# argosy: ignore[{rule.code}]`.", ""]
    return "\n".join(lines)


def index() -> str:
    """The table of all rules, by family."""
    lines = ["# Rules of `argosy lint`", "", INTRODUCTION, ""]
    for family, title in FAMILIES.items():
        lines += [f"## {title}", "", "| rule | name | severity | what |", "| --- | --- | --- | --- |"]
        for rule in rules().values():
            if rule.code.startswith(family):
                what = rule.summary.replace("|", "\\|")
                lines.append(f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.severity} | {what} |")
        lines.append("")
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """File name to text of every page."""
    return {"README.md": index()} | {f"{r.code}.md": page(r) for r in rules().values()}


def main() -> int:
    """Write all pages; 0."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stderr.write(f"{FOLDER}: {len(pages())} pages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
