"""The subject of a rule: one resource with everything that is worked out about it, once."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from argosy.lint.library import Library, Target
from argosy.lint.schema import Defect
from argosy.lint.scope import Scope, Unresolved
from argosy.lint.workflow_scope import Missing, WorkflowScope
from argosy.manifest.model import Call, Entry, Resource, Template


class Subject:
    """A resource, the library it may refer to, and the analyses that several rules share."""

    def __init__(self, resource: Resource, library: Library, defects: Sequence[Defect] = ()) -> None:
        self.resource = resource
        self.library = library
        self.defects = defects
        """Where the object differs from Argo's schema."""
        self._scopes: dict[int, Scope] = {}

    @property
    def templates(self) -> list[Template]:
        """Every template, inline ones too."""
        return self.resource.all_templates

    @cached_property
    def calls(self) -> list[Call]:
        """Every step and task."""
        return [call for template in self.templates for call in template.calls]

    def target(self, call: Call) -> Target:
        """Where a call leads."""
        scope = self.scope(call.template)
        return scope.targets[call.name] if scope.calls.get(call.name) is call else self.library.resolve(call)

    def scope(self, template: Template) -> Scope:
        """The names that a template may use."""
        key = id(template)
        if key not in self._scopes:
            self._scopes[key] = Scope(template, self.library)
        return self._scopes[key]

    @cached_property
    def unresolved(self) -> list[Unresolved]:
        """Tags that nothing in their template gives a value to."""
        return [u for template in self.templates for u in self.scope(template).unresolved()]

    @cached_property
    def missing(self) -> list[Missing]:
        """Tags of the whole workflow that nothing gives a value to."""
        return WorkflowScope(self.resource, self.library).walk()

    def parameters(self) -> Iterator[tuple[Entry, str]]:
        """Every declared parameter, with where it stands: `inputs`, `outputs` or `arguments`."""
        for place, entry in self._holders("parameters"):
            yield entry, place

    def artifacts(self) -> Iterator[tuple[Entry, str]]:
        """Every declared artifact, with where it stands."""
        for place, entry in self._holders("artifacts"):
            yield entry, place

    def _holders(self, kind: str) -> Iterator[tuple[str, Entry]]:
        yield from (("arguments", e) for e in self.resource.spec.entries("arguments", kind))
        for template in self.templates:
            yield from (("inputs", e) for e in template.entries("inputs", kind))
            yield from (("outputs", e) for e in template.entries("outputs", kind))
            for call in template.calls:
                yield from (("arguments", e) for e in call.entries("arguments", kind))
