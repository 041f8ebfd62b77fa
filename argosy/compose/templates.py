"""Our templates in Couler's table: complete, each once."""

from typing import Any

from couler.core import states
from couler.core.templates import Container

from argosy.declare.component import Component
from argosy.declare.template import render_template


class RenderedTemplate(Container):  # type: ignore[misc]  # couler carries no types
    """A complete Argo template in Couler's table, which Couler then only refers to."""

    def __init__(self, template: dict[str, Any]) -> None:
        Container.__init__(self, name=template["name"], image="", command=None)
        self.template = template

    def to_dict(self) -> dict[str, Any]:
        """The template as it was rendered."""
        return self.template

    def get_volume_mounts(self) -> None:
        """None: Couler would make an empty volume of each mount."""


class Templates:
    """The templates of one composition."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[str, Any]] = {}
        self._names: dict[Component[Any, Any], str] = {}

    @property
    def components(self) -> dict[str, Component[Any, Any]]:
        """The components by the names of their templates."""
        return {name: component for component, name in self._names.items()}

    def add(self, component: Component[Any, Any]) -> str:
        """What a component's task calls: a template that is added here, or one published elsewhere.

        A second template of the same name and other content is numbered.
        """
        if component.template_ref is not None:
            return component.template_ref
        name = self._names.get(component)
        if name is None:
            name = self._names[component] = self._add(component)
        return name

    def _add(self, component: Component[Any, Any]) -> str:
        base, number = component.template_name, 2
        rendered = render_template(component, base)
        while (known := self._by_name.get(rendered["name"])) is not None:
            if known == rendered:
                return str(rendered["name"])
            rendered, number = {**rendered, "name": f"{base}-{number}"}, number + 1
        name: str = rendered["name"]
        self._by_name[name] = rendered
        states.workflow.add_template(RenderedTemplate(rendered))
        return name
