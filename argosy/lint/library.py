"""All resources that were given: what a reference may point at."""

import base64
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from argosy.manifest.code import FILE
from argosy.manifest.model import Call, Entry, Resource, Template, mapping, text
from argosy.manifest.reading import Document
from argosy.manifest.tagged import has_tag


@dataclass(frozen=True)
class Target:
    """Where a reference leads: `resource` and `template` as far as they were found."""

    resource: Resource | None = None
    template: Template | None = None
    dynamic: bool = False  # known only when the workflow runs
    complete: bool = True  # False: no template of that kind was given, so nothing can be said

    @property
    def unknown(self) -> bool:
        """True if nothing is known of the template, so that anything about it may be right."""
        return self.template is None and (self.dynamic or not self.complete)


class Library:
    """Index of template resources by kind and name.

    Args:
        resources: that were given.
        others: documents of other kinds, among them the ConfigMaps of bundles.
        images: beginnings of the names of images that hold the code of their steps.
    """

    def __init__(
        self,
        resources: Iterable[Resource] = (),
        others: Iterable[Document] = (),
        images: tuple[str, ...] = (),
    ) -> None:
        self.images = images
        self._bundles: dict[str, frozenset[str]] = {}
        for document in others:
            if document.kind == "ConfigMap" and (files := _files_of_bundle(document)) is not None:
                self._bundles[text(mapping(document.root.get("metadata")).get("name"))] = files
        self._found: dict[tuple[str, str], list[Resource]] = defaultdict(list)
        for resource in resources:
            if resource.is_reusable:
                self._found[resource.kind, resource.name].append(resource)
        self._of_kind: dict[str, list[Resource]] = defaultdict(list)
        for (kind, _), found in self._found.items():
            self._of_kind[kind] += found[:2]

    def should_know(self, ref: Entry, user: Resource) -> bool:
        """True if other templates of that kind were given: then `ref` should find its own among them."""
        return any(r is not user for r in self._of_kind.get(kind_of(ref), []))

    def bundle(self, name: str) -> frozenset[str] | None:
        """The files of the bundle of that name, if it was given."""
        return self._bundles.get(name)

    def resource(self, ref: Entry, user: Resource, template: str = "") -> Resource | None:
        """The resource that `ref` names, as seen from `user`; prefers one that has `template`."""
        found = self._found.get((kind_of(ref), ref.name), [])
        return min(found, key=lambda r: _distance(r, user, template), default=None)

    def resolve(self, call: Call, base: Resource | None = None) -> Target:
        """Where a call leads; `base` is the resource in which local names are looked up."""
        base = base or call.template.resource
        if call.inline is not None:
            return Target(base, call.inline)
        if call.ref is not None:
            return self._resolve_ref(call.ref, base)
        if has_tag(call.target):
            return Target(base, None, dynamic=True)
        return Target(base, base.by_name.get(call.target))

    def _resolve_ref(self, ref: Entry, user: Resource) -> Target:
        name = text(ref.body.get("template"))
        if has_tag(ref.name) or has_tag(name):
            return Target(dynamic=True)
        resource = self.resource(ref, user, name)
        if resource is None:
            return Target(complete=self.should_know(ref, user))
        return Target(resource, resource.by_name.get(name))


def _files_of_bundle(document: Document) -> frozenset[str] | None:
    """The names in a ConfigMap's zip of code; None where it has none that can be read."""
    data = mapping(document.root.get("binaryData")).get(FILE)
    if not isinstance(data, str):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(data))) as archive:
            return frozenset(archive.namelist())
    except (ValueError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile):
        return None


def kind_of(ref: Entry) -> str:
    """The kind of object that a reference names."""
    return "ClusterWorkflowTemplate" if ref.body.get("clusterScope") is True else "WorkflowTemplate"


def _distance(found: Resource, user: Resource, template: str) -> tuple[bool, bool, bool]:
    lacks = bool(template) and template not in found.by_name
    elsewhere = found.metadata.get("namespace") != user.metadata.get("namespace")
    return lacks, elsewhere, found.document.file != user.document.file
