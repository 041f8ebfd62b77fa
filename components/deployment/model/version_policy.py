"""The line of config.pbtxt that says which versions serve.

Only this line is rewritten: the rest, with its comments, is what somebody tuned.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from google.protobuf import json_format, text_format  # type: ignore[import-untyped]

from argosy.components.deployment.model.triton_config import parse

_TOKEN = re.compile(
    r"""(?P<skip>\#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<word>\w+)|(?P<open>[{<\[])|(?P<close>[}>\]])"""
)


def named_versions(text: str) -> frozenset[int] | None:
    """The versions that a config.pbtxt names; None where its policy is another one, as "the latest two".

    Raises:
        StepError: the text is no config.pbtxt.
    """
    policy = parse(text).version_policy
    if policy.WhichOneof("policy_choice") != "specific":
        return None
    return frozenset(policy.specific.versions)


def naming(text: str, versions: Collection[int]) -> str:
    """A config.pbtxt that names these versions, and is otherwise the same; unchanged where it names them.

    Raises:
        StepError: the text is no config.pbtxt.
    """
    if named_versions(text) == frozenset(versions):
        return text
    listed = f"versions: {sorted(versions)} " if versions else ""
    line = f"version_policy {{ specific {{ {listed}}} }}"
    edited = _replaced(text, line)
    wanted = _with_policy(text, versions)
    # A text that the simple scan below misreads loses its comments, and nothing else.
    return edited if parse(edited) == wanted else str(text_format.MessageToString(wanted))


def load_config(text: str, versions: Collection[int]) -> dict[str, Any]:
    """The same configuration as a load takes it in place of the file.

    Raises:
        StepError: the text is no config.pbtxt.
    """
    config = _with_policy(text, versions)
    return dict(json_format.MessageToDict(config, preserving_proto_field_name=True))


def _with_policy(text: str, versions: Collection[int]) -> Any:
    config = parse(text)
    config.version_policy.specific.SetInParent()
    config.version_policy.specific.versions[:] = sorted(versions)
    return config


def _replaced(text: str, line: str) -> str:
    """`line` in the place of the outermost version_policy, or at the end."""
    depth, start = 0, None
    for token in _TOKEN.finditer(text):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth == 0 and start is not None:
                return text[:start] + line + text[token.end() :]
        elif depth == 0 and token["word"]:
            start = token.start() if token["word"] == "version_policy" else None
    return text.rstrip("\n") + "\n" + line + "\n"
