"""`argosy env`: what differs between environments."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from argosy.cli.parameters import settings_beside
from argosy.compose.settings import in_environment
from argosy.errors import UsageError
from argosy.manifest.parts import templates_in, with_templates


@click.group("env")
def env() -> None:
    """Environments of argosy.yaml: one program, every cluster."""


@env.command()
@click.argument("before", metavar="ENV")
@click.argument("after", metavar="ENV")
@click.argument("target", metavar="PIPELINE|FILE.py[:FUNCTION]|FILE.yaml", callback=settings_beside)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def diff(before: str, after: str, target: str, output: str) -> None:
    """Show what differs between two environments, field by field."""
    if not (before.strip() and after.strip()):
        raise UsageError("an environment has a name; 'prod: {}' in argosy.yaml is one that changes nothing")
    found = differences(_manifest(target, before), _manifest(target, after))
    if output == "json":
        rows = [{"path": p, "before": _or_none(a), "after": _or_none(b)} for p, a, b in found]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for path, *pair in found:
        click.echo(path)
        for name, value in zip((before, after), pair, strict=True):
            shown = "(not set)" if value is ... else json.dumps(value, ensure_ascii=False)
            click.echo(f"  {name}: {shown}")
    if not found:
        click.echo(f"'{before}' and '{after}' are the same for {target}", err=True)


def _manifest(target: str, environment: str) -> dict[str, Any]:
    from argosy.cli.compile import manifest_of

    with in_environment(environment):
        return manifest_of(target)


def _or_none(value: Any) -> Any:
    return None if value is ... else value


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Each path at which two manifests differ, with both values; `...` where there is none.

    Entries of a list are told apart by their names, where all have one. A template that one manifest alone
    has is compared with the one that the same task uses in the other, of which it was made.
    """
    found = _differing(before, after)
    uses = [(a, b) for path, a, b in found if path.endswith("].template")]
    before, after = (
        _with_originals(before, after, uses),
        _with_originals(after, before, [u[::-1] for u in uses]),
    )
    return _differing(before, after)


def _differing(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    left, right = dict(_leaves(before, "")), dict(_leaves(after, ""))
    paths = [*left, *(p for p in right if p not in left)]
    pairs = ((p, left.get(p, ...), right.get(p, ...)) for p in paths)
    return [(path, a, b) for path, a, b in pairs if a != b]


def _with_originals(
    manifest: Mapping[str, Any], other: Mapping[str, Any], uses: Iterable[tuple[Any, Any]]
) -> Mapping[str, Any]:
    """The manifest with a template for each that only the other has, as the same task uses it here."""
    here = {t.get("name"): t for t in templates_in(manifest)}
    there = {t.get("name") for t in templates_in(other)}
    copies = {b: {**here[a], "name": b} for a, b in uses if a in here and b in there and b not in here}
    return with_templates(manifest, [*templates_in(manifest), *copies.values()]) if copies else manifest


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and node:
        for key, value in _keyed(node):
            yield from _leaves(value, f"{path}[{key}]")
    else:
        yield path, node


def _keyed(entries: list[Any]) -> list[tuple[Any, Any]]:
    for key in ("name", "mountPath"):
        names = [e.get(key) for e in entries if isinstance(e, Mapping)]
        if len(names) == len(entries) == len({str(n) for n in names}) and None not in names:
            return [
                (name, {k: v for k, v in entry.items() if k != key} or {})
                for name, entry in zip(names, entries, strict=True)
            ]
    return list(enumerate(entries))
