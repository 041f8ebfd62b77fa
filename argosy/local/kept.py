"""Values that a manifest only names: keys of Secrets and ConfigMaps, from files on this machine.

`secrets.yaml`, which the settings name:

```yaml
secrets:
  s3-credentials: {access-key: AKIA..., secret-key: ...}
configMaps:
  training: {batch-size: "64"}
```

It may as well hold Kubernetes' own Secrets and ConfigMaps, as `kubectl get -o yaml` writes them. A file
for `--env-file` has lines `NAME/KEY=VALUE` for a key of the Secret or ConfigMap NAME, and `VARIABLE=VALUE`
for what the cluster would set in every pod; without `=VALUE` it is that of this command's environment.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from argosy.errors import UsageError
from argosy.manifest.reading import OwnLoader
from argosy.text import did_you_mean

SECRET, CONFIG_MAP = "secret", "config map"
_SECTIONS = {"secrets": SECRET, "configMaps": CONFIG_MAP}
_KINDS = {"Secret": SECRET, "ConfigMap": CONFIG_MAP}
_LINE = re.compile(r"(?:export\s+)?(?:(?P<name>[\w.-]+)/)?(?P<key>[\w.-]+)(?P<equals>=(?P<value>.*))?", re.S)


@dataclass(frozen=True, order=True)
class Source:
    """A key of a Secret or of a ConfigMap."""

    kind: str
    name: str
    key: str

    @classmethod
    def of(cls, kind: str, reference: Mapping[str, Any]) -> Source:
        """The key that a `secretKeyRef` or a `configMapKeyRef` names."""
        return cls(kind, str(reference.get("name")), str(reference.get("key")))

    def __str__(self) -> str:
        return f"key '{self.key}' of the {self.kind} '{self.name}'"


@dataclass(frozen=True)
class Kept:
    """The values by their sources, and variables for every step; `binary` has those that are no text."""

    values: Mapping[Source, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    binary: Mapping[Source, bytes] = field(default_factory=dict)

    def value(self, source: Source) -> str | None:
        """The value of a key, or None."""
        return self.values.get(source)

    def held(self, kind: str, name: str) -> dict[str, bytes]:
        """All keys of a Secret or ConfigMap, as the contents of files."""
        texts = {s.key: text.encode() for s, text in self.values.items() if (s.kind, s.name) == (kind, name)}
        return texts | {s.key: held for s, held in self.binary.items() if (s.kind, s.name) == (kind, name)}

    def over(self, other: Kept) -> Kept:
        """Both; of two values for one thing, this one's."""
        values, binary = {**other.values, **self.values}, {**other.binary, **self.binary}
        return Kept(values, {**other.variables, **self.variables}, binary)


def read_env_file(path: Path, environment: Mapping[str, str]) -> Kept:
    """The content of a file for `--env-file`.

    Raises:
        UsageError: it cannot be read, or a line is none of its two forms; the message shows no value.
    """
    values: dict[Source, str] = {}
    variables: dict[str, str] = {}
    seen: dict[tuple[str | None, str], int] = {}
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UsageError(f"{path}:{number}: is none of VARIABLE=VALUE and NAME/KEY=VALUE")
        name, key, value = match["name"], match["key"], _unquoted(match["value"])
        if (before := seen.setdefault((name, key), number)) != number:
            said = f"{name}/{key}" if name else key
            raise UsageError(
                f"{path}:{number}: '{said}' is given twice, in line {before}, too; keep one of them"
            )
        if name is None and (match["equals"] or key in environment):
            variables[key] = value if match["equals"] else environment[key]
        elif name is not None and match["equals"]:
            values |= {Source(kind, name, key): value for kind in (SECRET, CONFIG_MAP)}
        else:
            raise UsageError(f"{path}:{number}: '{line.strip()}' has no value")
    return Kept(values, variables)


def read_secrets(path: Path) -> Kept:
    """The content of a file of Secrets and ConfigMaps.

    Raises:
        UsageError: it cannot be read, or is neither of the forms above; the message shows no value.
    """
    try:
        documents = list(yaml.load_all(_read(path), Loader=OwnLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UsageError(
            f"{path}{f':{mark.line + 1}' if mark else ''}: not YAML, or a key is there twice"
        ) from None
    values: dict[Source, str] = {}
    for document in documents:
        for source, value in _entries(document or {}, path):
            values[source] = value
    return Kept(values)


def of_documents(documents: Iterable[Mapping[str, Any]], path: Path) -> Kept:
    """The values of the Secrets and ConfigMaps among a file's objects.

    Raises:
        UsageError: one of them is malformed; the message shows no value.
    """
    values: dict[Source, str] = {}
    binary: dict[Source, bytes] = {}
    for document in documents:
        if document.get("kind") in _KINDS:
            values |= dict(_object(document, path))
            binary |= dict(_binary(document, path))
    return Kept(values, binary=binary)


def _entries(document: Any, path: Path) -> Iterator[tuple[Source, str]]:
    if not isinstance(document, dict):
        raise UsageError(f"{path}: a mapping of 'secrets' and 'configMaps' is wanted")
    if document.get("kind") == "List":
        for item in document.get("items") or ():
            yield from _entries(item, path)
    elif "kind" in document:
        yield from _object(document, path)
    else:
        for section, objects in document.items():
            if section not in _SECTIONS:
                raise UsageError(f"{path}: unknown key '{section}'{did_you_mean(str(section), _SECTIONS)}")
            for name, data in _mapping(objects, path, section).items():
                yield from _data(_SECTIONS[section], str(name), data, path)


def _object(document: Mapping[str, Any], path: Path) -> Iterator[tuple[Source, str]]:
    """One of Kubernetes' own objects; the data of a Secret is written in base64."""
    kind = _KINDS.get(str(document["kind"]))
    name = _mapping(document.get("metadata"), path, "metadata").get("name")
    if kind is None or not isinstance(name, str):
        raise UsageError(f"{path}: holds a {document['kind']}, not a Secret or a ConfigMap with a name")
    for source, text in _data(kind, name, document.get("data"), path):
        yield source, _decoded(text, source, path) if kind == SECRET else text
    yield from _data(kind, name, document.get("stringData"), path)


def _binary(document: Mapping[str, Any], path: Path) -> Iterator[tuple[Source, bytes]]:
    """The keys of a ConfigMap that are no text."""
    name = str(_mapping(document.get("metadata"), path, "metadata").get("name"))
    for source, text in _data(CONFIG_MAP, name, document.get("binaryData"), path):
        try:
            yield source, base64.b64decode(text, validate=True)
        except binascii.Error:
            raise UsageError(f"{path}: '{source.name}/{source.key}' is not base64") from None


def _data(kind: str, name: str, data: Any, path: Path) -> Iterator[tuple[Source, str]]:
    for key, value in _mapping(data, path, name).items():
        if not isinstance(value, str):
            raise UsageError(f"{path}: '{name}/{key}' is no text; write it in quotes")
        yield Source(kind, name, str(key)), value


def _decoded(text: str, source: Source, path: Path) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UsageError(f"{path}: the data of '{source.name}/{source.key}' is no text in base64") from None


def _mapping(value: Any, path: Path, name: str) -> Mapping[Any, Any]:
    if value is not None and not isinstance(value, dict):
        raise UsageError(f"{path}: '{name}' is not a mapping")
    return value or {}


def _unquoted(value: str | None) -> str:
    text = (value or "").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # an editor may have put a mark in front
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read '{path}': it is not text in UTF-8") from None
