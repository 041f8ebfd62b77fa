"""What a command prints as JSON, held against the schema that `argosy schema` prints for it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jsonschema

from argosy.cli.schema import schema_of

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", ValueError)
def is_moment(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value.removesuffix("Z") + "+00:00"))


def closed(schema: Any) -> Any:
    """The schema with no room for a field that it does not tell."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    return (
        {"additionalProperties": False, **found}
        if isinstance(found.get("properties"), dict) and "type" in found
        else found
    )


def hold(name: str, text: str) -> Any:
    """Hold a document against the schema that `argosy schema` prints; returns it."""
    document = json.loads(text)
    schema = closed(schema_of(name))
    jsonschema.Draft202012Validator(schema, format_checker=FORMATS).validate(document)
    return document
