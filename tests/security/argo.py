"""What Argo and Kubernetes make of a value on its way from a Workflow's arguments to a container's process.

Argo writes a template as JSON, puts values in place of tags as text, quoted by Go's `strconv.Quote`, and
reads the JSON again; it does so for the arguments of a task and once more for the template that is called.
Kubernetes then replaces `$(NAME)` by the container's variables, and `$$` by a dollar sign.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_SHORT = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}


def quoted(value: str) -> str:
    """Go's `strconv.Quote`, without the quotes around."""
    return "".join(map(_quoted_character, value))


def _quoted_character(character: str) -> str:
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    if number < 0x20 or number == 0x7F:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def substituted(part: Any, values: Mapping[str, str]) -> Any:
    """A part of a manifest with its tags replaced as Argo does.

    Raises:
        ValueError: what comes out is no JSON; Argo ends the workflow with an error.
    """
    text = json.dumps(part, ensure_ascii=False)
    return json.loads(_TAG.sub(lambda tag: quoted(values.get(tag[1].strip(), tag[0])), text), strict=True)


def expanded(words: list[str], variables: Mapping[str, str]) -> list[str]:
    """A command line as Kubernetes hands it to the container."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else variables.get(match[1], match[0])

    return [_REFERENCE.sub(value, word) for word in words]


def command_line(manifest: Mapping[str, Any], task: str, values: Mapping[str, str]) -> list[str]:
    """The process that a task of the entrypoint becomes when the entrypoint's inputs are these values."""
    templates = {template["name"]: template for template in manifest["spec"]["templates"]}
    main = templates[manifest["spec"]["entrypoint"]]
    dag = substituted(main["dag"], {f"inputs.parameters.{name}": text for name, text in values.items()})
    called = next(t for t in dag["tasks"] if t["name"] == task)
    given = {p["name"]: p["value"] for p in called["arguments"]["parameters"]}
    template = templates[called["template"]]
    tags = {f"inputs.parameters.{name}": text for name, text in given.items()}
    for output in template.get("outputs", {}).get("parameters", ()):
        tags[f"outputs.parameters.{output['name']}.path"] = output["valueFrom"]["path"]
    template = substituted(template, tags)
    container = template["container"]
    variables = {entry["name"]: entry.get("value", "a secret") for entry in container.get("env", ())}
    variables |= {"HOME": "/root", "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "a secret"}
    return expanded([*container["command"], *container.get("args", ())], variables)
