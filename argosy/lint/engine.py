"""Files to findings: read, index all, run the rules, silence, sort. No rule sees a file or prints.

Before a manifest is written, run or sent, the first error refuses it, and so does its size.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from argosy.errors import ManifestError, UsageError
from argosy.lint.library import Library
from argosy.lint.registry import MAX_FINDINGS, Found, Rule, Severity, Violation, render, rules
from argosy.lint.schema import check
from argosy.lint.subject import Subject
from argosy.manifest.model import Resource
from argosy.manifest.parts import parameters_of
from argosy.manifest.reading import Document, Problem, Source, from_object, read, unlisted
from argosy.manifest.tree import Map, locate

_COMMENT = re.compile(r"(?:^|\s)#\s*argosy:\s*(ignore(?:-file)?)(?:\[([A-Z0-9,\s]*)\])?")
_ALONE = re.compile(r"\s*#")
SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"
# What etcd takes in one request, and therefore Kubernetes as one object.
MAX_BYTES = 3 * 512 * 1024


class Silence:
    """The comments of one file.

    A comment at the end of a line covers that line; on a line of its own the next line that is not a comment;
    `ignore-file` the whole file. Without brackets it covers all rules. A code's beginning covers the family.
    """

    def __init__(self, text: str) -> None:
        self._file: list[str] = []
        self._lines: dict[int, list[str]] = {}
        if "argosy:" in text:
            self._scan(text.splitlines())

    def _scan(self, lines: list[str]) -> None:
        code_lines = [i for i, line in enumerate(lines, 1) if line.strip() and not _ALONE.match(line)]
        for number, line in enumerate(lines, 1):
            match = _COMMENT.search(line)
            if match is None:
                continue
            codes = re.findall(r"[A-Z0-9]+", match[2] or "") or ["ARG"]
            if match[1] == "ignore-file":
                self._file += codes
                continue
            if _ALONE.match(line):
                after = bisect_left(code_lines, number)
                number = code_lines[after] if after < len(code_lines) else number
            self._lines.setdefault(number, []).extend(codes)

    def covers(self, code: str, line: int) -> bool:
        """True if findings of `code` on `line` are to be dropped."""
        return code.startswith((*self._file, *self._lines.get(line, ())))


@dataclass(frozen=True)
class Options:
    """Which rules run, by code or by its first characters, and whether warnings are errors.

    `images` are beginnings of the names of images that hold the code of their steps.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    strict: bool = False
    images: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for code in (*self.select, *self.ignore):
            if not any(known.startswith(code) for known in rules()):
                raise UsageError(f"there is no rule '{code}'; 'argosy lint --list' shows them")

    def chosen(self) -> list[Rule]:
        """The rules to run."""
        wanted = [r for r in rules().values() if not self.select or r.code.startswith(self.select)]
        return [r for r in wanted if not (self.ignore and r.code.startswith(self.ignore))]


def lint_manifest(manifest: dict[str, Any] | str, *, source: str = "<compiled>") -> list[Violation]:
    """Lint one manifest, as a dict or as YAML text of one or more documents; warnings are included.

    References are resolved among the documents given.
    """
    if isinstance(manifest, str):
        return lint_sources([read(source, manifest.encode("utf-8", "surrogatepass"))])
    return lint_sources([from_object(manifest, source)])


def lint_paths(paths: Sequence[str | Path], options: Options | None = None) -> list[Violation]:
    """Lint files and folders, all together. Raises UsageError if a path cannot be read."""
    return lint_sources(load(paths), options)


def load(paths: Sequence[str | Path]) -> list[Source]:
    """Read files, and the YAML and JSON files below folders, each once. Raises UsageError."""
    found: dict[Path, tuple[str, bool]] = {}
    for path in map(Path, paths):
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
            if not below:
                raise UsageError(
                    f"the folder '{path}' holds no file to lint: none ends in {', '.join(SUFFIXES)}"
                )
            for file in below:
                found.setdefault(file.resolve(), (str(file), False))
        elif path.exists():
            found[path.resolve()] = (str(path), True)
        else:
            raise UsageError(f"there is no file or folder '{path}'")
    return [_read(path, name, explicit) for path, (name, explicit) in found.items()]


def _read(path: Path, name: str, explicit: bool) -> Source:
    try:
        return unlisted(read(name, path.read_bytes(), explicit))
    except OSError as error:
        raise UsageError(f"cannot read '{name}': {error.strerror}") from error


def lint_sources(sources: Iterable[Source], options: Options | None = None) -> list[Violation]:
    """Run the rules over what was read; sorted by file and line."""
    options, sources = options or Options(), [unlisted(source) for source in sources]
    documents = [d for source in sources for d in _documents(source)]
    resources = [Resource(d) for d in documents if d.is_argo and not _unreadable(d)]
    defects = [check(resource.body, resource.kind) for resource in resources]  # first: it mends
    library = Library(resources, (d for d in documents if not d.is_argo), options.images)
    found = [v for d in documents for v in _run(options, "document", d, d)]
    for resource, differing in zip(resources, defects, strict=True):
        subject = Subject(resource, library, differing)
        found += _run(options, "resource", subject, resource.document)
    silences = {source.file: Silence(source.text) for source in sources}
    kept = {v for v in found if not silences[v.file].covers(v.code, v.line)}
    return sorted(_raised(v) if options.strict else v for v in kept)


def _documents(source: Source) -> list[Document]:
    """Those of a file; of an empty one, a document that says so. Comments alone may stand in a folder."""
    found = source.documents
    if any(d.root is not None or d.problems for d in found) or (source.text.strip() and not source.explicit):
        return found
    return [Document(source.file, None, [Problem("ARG002", "the file holds no manifest", (1, 1))])]


def _unreadable(document: Document) -> bool:
    return any(p.code == "ARG001" for p in document.problems)


def _raised(violation: Violation) -> Violation:
    return replace(violation, severity=Severity.ERROR)


def _run(options: Options, on: str, subject: Any, document: Document) -> Iterator[Violation]:
    for rule in options.chosen():
        if rule.on == on:
            for found in islice(rule.check(subject), MAX_FINDINGS):
                yield _violation(rule, found, document)


def _violation(rule: Rule, found: Found, document: Document) -> Violation:
    line, column = found.mark or locate(document.root, found.path)
    return Violation(
        document.file,
        line,
        column,
        rule.code,
        found.message,
        found.hint,
        render((*document.place, *found.path)),
        rule.severity,
        rule.name,
    )


def refuse_too_large(size: int, name: str) -> None:
    """Raises ManifestError if `size`, in bytes as JSON, is more than Kubernetes takes."""
    if size > MAX_BYTES:
        raise ManifestError(
            f"{name} has {size / 2**20:.2f} MiB, and Kubernetes takes 1.5 MiB at most; loop with couler.map "
            "in place of many like tasks, keep templates in a WorkflowTemplate and call them by templateRef, "
            "or split the workflow"
        )


class InvalidManifest(ManifestError):
    """The linter's first error in a manifest.

    Attributes:
        path: where in the manifest it is.
    """

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


def refuse_invalid(manifest: Mapping[str, Any], name: str) -> None:
    """Raises InvalidManifest with the linter's first error, if it finds any."""
    errors = _errors([from_object(dict(manifest), name)])
    if errors:
        raise InvalidManifest(f"{name}: {errors[0].path}: {_said(errors)}", errors[0].path)


def refuse_invalid_files(files: Iterable[Path]) -> None:
    """The same for manifests as they are written, looked at together: the message has the line."""

    errors = _errors(load(list(files)))
    if errors:
        raise InvalidManifest(f"{errors[0].file}:{errors[0].line}: {_said(errors)}", errors[0].path)


def _errors(sources: list[Source]) -> list[Violation]:
    """The linter's errors in manifests as they will be submitted."""

    for document in (d for source in sources for d in source.documents if d.is_argo):
        _give_values(document.root)
    return [v for v in lint_sources(sources) if v.is_error]


def _said(errors: list[Violation]) -> str:
    first, more = errors[0], f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.code} {first.message}. {first.hint}{more}"


def _give_values(manifest: Map) -> None:
    """Give each of the workflow's parameters a value, as each has one by the time it is submitted."""
    for parameter in parameters_of(manifest):
        if isinstance(parameter, Map) and "value" not in parameter:
            value = (parameter.get("enum") or [""])[0]
            parameter.put("value", value, parameter.mark, parameter.mark)
