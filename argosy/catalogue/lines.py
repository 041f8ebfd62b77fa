"""Short forms of a description's parts, as text and Markdown both print them."""

from typing import Any


def shown_default(port: dict[str, Any]) -> str:
    """`required`, `empty`, or the default as text."""
    if port["required"]:
        return "required"
    return port["default"] or "empty"


def shown_resources(described: dict[str, Any]) -> str:
    """`CPU 250m-500m, memory 512Mi-1Gi, 1 nvidia.com/gpu`; nothing where none are asked for."""
    resources = described.get("resources", {})
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    parts = []
    for key, noun in (("cpu", "CPU"), ("memory", "memory")):
        pair = [p for p in (requests.get(key), limits.get(key)) if p]
        if pair:
            parts.append(f"{noun} {'-'.join(dict.fromkeys(pair))}")
    parts += [f"{count} {name}" for name, count in limits.items() if name not in ("cpu", "memory")]
    return ", ".join(parts)


def facts(described: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of the container, as pairs of a noun and its value."""
    pairs = [
        ("image", described.get("image", "")),
        ("command", " ".join(described.get("command", ()))),
        ("from", described.get("origin", "")),
        ("resources", shown_resources(described)),
        ("node", _pairs(described.get("nodeSelector", {}))),
        ("tolerates", ", ".join(t["key"] for t in described.get("tolerations", ()))),
        ("volumes", ", ".join(v["mountPath"] for v in described.get("volumes", ()))),
        ("environment", ", ".join(described.get("env", ()))),
        ("retries", _retries(described.get("retryStrategy"))),
        ("timeout", _seconds(described.get("activeDeadlineSeconds"))),
        ("template", _reference(described.get("templateRef"))),
    ]
    return [(noun, value) for noun, value in pairs if value]


def _pairs(mapping: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in mapping.items())


def _retries(strategy: dict[str, Any] | None) -> str:
    return f"{strategy['limit']}, {strategy['retryPolicy']}" if strategy else ""


def _seconds(count: int | None) -> str:
    return f"{count} s" if count else ""


def _reference(reference: dict[str, Any] | None) -> str:
    return f"'{reference['template']}' of '{reference['name']}'" if reference else ""
