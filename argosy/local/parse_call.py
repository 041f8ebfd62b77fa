"""One task or step, from its dict to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.local.model import Arguments, ArtifactArgument, Call, Hook, Loop
from argosy.local.shape import expect_list, expect_mapping, optional_text, text_of

Raw = Mapping[str, Any]


def raw_data(raw: Raw, where: str) -> str | None:
    return (
        None
        if raw.get("raw") is None
        else text_of(raw["raw"].get("data", ""), f"{where}.{raw['name']}.raw.data")
    )


def named(raw: Any, where: str) -> list[Raw]:
    seen: set[str] = set()
    items = expect_list(raw, where)
    for item in items:
        name = expect_mapping(item, where).get("name")
        if not isinstance(name, str) or not name:
            raise ManifestError(f"{where}: everything listed there needs a name that is text, not {name!r}")
        if name in seen:
            raise ManifestError(f"{where}: '{name}' is there twice")
        seen.add(name)
    return items


def flag(value: Any, default: bool, where: str) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ManifestError(f"{where}: true or false is expected, not {value!r}")
    return value


def positive(value: Any, where: str) -> int | None:
    """A whole number above 0, or None. Raises ManifestError for anything else."""
    if value is None:
        return None
    if not isinstance(value, int) or value < 1:
        raise ManifestError(f"{where}: {value!r} is not a whole number above 0")
    return value


def parse_call(raw: Raw, parent: str, inline: dict[str, Raw]) -> Call:
    where = f"template '{parent}', '{raw['name']}'"
    template = raw.get("template")
    if raw.get("inline"):
        template = f"{parent}.{raw['name']}"
        inline[template] = {**raw["inline"], "name": template}
    if not isinstance(template, str):
        raise ManifestError(f"{where}: no template is named")
    continues = raw.get("continueOn") or {}
    names = expect_list(raw.get("dependencies"), f"{where}.dependencies")
    if names and raw.get("depends"):
        raise ManifestError(f"{where}: `depends` and `dependencies` exclude each other")
    if continues and raw.get("depends"):
        raise ManifestError(
            f"{where}: continueOn has no effect beside `depends`; use `{raw['name']}.Failed` there"
        )
    return Call(
        name=raw["name"],
        template=template,
        arguments=parse_arguments(raw.get("arguments"), where),
        dependencies=tuple(text_of(name, f"{where}.dependencies") for name in names),
        depends=optional_text(raw.get("depends"), f"{where}.depends") or None,
        when=optional_text(raw.get("when"), f"{where}.when") or None,
        loop=_loop(raw, where),
        continue_on_failed=flag(continues.get("failed"), False, f"{where}.continueOn.failed"),
        continue_on_error=flag(continues.get("error"), False, f"{where}.continueOn.error"),
        exit_hook=parse_hook(raw, where),
        hooks=parse_hooks(raw, where),
    )


def _loop(raw: Raw, where: str) -> Loop | None:
    given = [field for field in ("withItems", "withParam", "withSequence") if raw.get(field) is not None]
    if not given:
        return None
    if len(given) > 1:
        raise ManifestError(f"{where}: {' and '.join(given)} exclude each other")
    value = raw[given[0]]
    if given[0] == "withItems":  # an empty list is no loop: the call runs once
        items = tuple(expect_list(value, f"{where}.withItems"))
        return Loop(items=items) if items else None
    if given[0] == "withParam":
        return Loop(param=text_of(value, f"{where}.withParam"))
    sequence = {
        key: text_of(part, f"{where}.withSequence.{key}") for key, part in value.items() if part is not None
    }
    if ("count" in sequence) == ("end" in sequence):
        raise ManifestError(f"{where}: withSequence needs either count or end")
    return Loop(sequence=sequence)


def parse_arguments(raw: Any, where: str) -> Arguments:
    """The arguments; a parameter without a value is left to the callee's default."""
    mapping = expect_mapping(raw or {}, where)
    parameters = {
        item["name"]: text_of(item["value"], f"{where}.{item['name']}")
        for item in named(mapping.get("parameters"), where)
        if item.get("value") is not None
    }
    artifacts = {
        item["name"]: _artifact_argument(item, where) for item in named(mapping.get("artifacts"), where)
    }
    return Arguments(parameters, artifacts)


def parse_hook(raw: Raw, where: str) -> Hook | None:
    """The exit handler of a workflow, task or step: `onExit`, or `hooks.exit`."""
    hook = (raw.get("hooks") or {}).get("exit")
    if hook:
        return _hook(hook, f"{where} hooks.exit")
    return Hook(text_of(raw["onExit"], f"{where}.onExit")) if raw.get("onExit") else None


def parse_hooks(raw: Raw, where: str) -> dict[str, Hook]:
    """The other hooks of a workflow, task or step. Raises ManifestError for one without an expression."""
    hooks = {}
    for name, hook in (raw.get("hooks") or {}).items():
        if name != "exit":
            hooks[name] = _hook(hook, f"{where} hooks.{name}")
            if not hooks[name].expression:
                raise ManifestError(f"{where}: hooks.{name} needs an expression that says when it runs")
    return hooks


def _hook(raw: Any, where: str) -> Hook:
    hook = expect_mapping(raw, where)
    if not isinstance(hook.get("template"), str):
        raise ManifestError(f"{where} needs a template")
    expression = optional_text(hook.get("expression"), f"{where}.expression") or None
    return Hook(hook["template"], parse_arguments(hook.get("arguments"), where), expression)


def _artifact_argument(raw: Raw, where: str) -> ArtifactArgument:
    return ArtifactArgument(
        raw["name"],
        source=optional_text(raw.get("from"), f"{where}.{raw['name']}.from"),
        raw=raw_data(raw, where),
        expression=optional_text(raw.get("fromExpression"), f"{where}.{raw['name']}.fromExpression"),
        sub_path=optional_text(raw.get("subPath"), f"{where}.{raw['name']}.subPath"),
        optional=flag(raw.get("optional"), False, f"{where}.{raw['name']}.optional"),
    )
