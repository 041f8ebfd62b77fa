"""`argosy export`: components in the forms that others use."""

from pathlib import Path
from typing import Any

import click

from argosy.catalogue.discover import find_components, pick
from argosy.cli.compile import with_images
from argosy.cli.components import module_option
from argosy.cli.graph import write_text
from argosy.cli.parameters import environment_option, output_file_option, settings_beside
from argosy.code.bundle.attach import SUFFIX, attach, described_code, holds_code
from argosy.compose.settings import Settings
from argosy.declare.component import Component
from argosy.declare.names import step_name
from argosy.manifest.emit import to_yaml
from argosy.manifest.parts import templates_in
from argosy.reuse.kfp_export import kfp_component, left_out
from argosy.reuse.library import LibraryKind, library_manifest


@click.group()
def export() -> None:
    """Write components in the forms that others use."""


@export.command()
@click.argument("name")
@module_option
@output_file_option
def kfp(name: str, module: str | None, output: Path | None) -> None:
    """Write a component as a component.yaml of Kubeflow Pipelines.

    Fields that such a file lacks (resources, node selector, ...) are named on standard error: KFP has them on
    the task.
    """
    component = pick(find_components(module), name).component
    image, lacks_code = _image_of(component)
    exported = component if image == component.container.image else component.options(image=image)
    write_text(to_yaml(kfp_component(exported)), output)
    if missing := left_out(component):
        click.echo(f"argosy: to be set on KFP's task: {', '.join(missing)}", err=True)
    if lacks_code:
        click.echo(
            f"argosy: '{image}' has to hold the module '{component.module}', which does not travel with KFP: "
            "argosy build makes an image that does",
            err=True,
        )


def _image_of(component: Component[Any, Any]) -> tuple[str, bool]:
    """The image of a component, as `argosy build` made it if it did, and whether it lacks the code."""
    if component.template_ref is not None or component.work is not None:
        return component.container.image, False
    manifest = with_images(library_manifest([component], "kfp"))
    attached = attach(manifest, Settings.find(), packages="as they are")
    return str(templates_in(manifest)[0]["container"]["image"]), attached.bundle is not None


@export.command()
@click.argument("module", required=False, metavar="[MODULE|FOLDER|FILE.py]", callback=settings_beside)
@click.option("--name", help="Of the WorkflowTemplate; by default the module's.")
@click.option(
    "--kind",
    type=click.Choice(["WorkflowTemplate", "ClusterWorkflowTemplate"]),
    default="WorkflowTemplate",
    show_default=True,
)
@environment_option
@output_file_option
def library(module: str | None, name: str | None, kind: LibraryKind, output: Path | None) -> None:
    """Write the components of a module as one WorkflowTemplate.

    Others call its templates by templateRef.

    Without a module: the components that come with Argosy. In a pipeline the file is read with
    argosy.load_library. With -o LIBRARY.yaml the code that no image holds goes into LIBRARY.code.yaml, a
    ConfigMap: argosy submit LIBRARY.yaml sends both, kubectl apply -f takes each.
    """
    components = [entry.component for entry in find_components(module)]
    called = name or _last_word(module or "argosy")
    settings = Settings.find()
    manifest = with_images(settings.around(library_manifest(components, called, kind, settings)))
    attached = attach(manifest, settings)
    for note in attached.notes:
        click.echo(f"warning: {note}", err=True)
    write_text(to_yaml(attached.manifest), output)
    code = attached.config_map
    if output is not None:
        _write_code(code, output, output.with_name(output.stem + SUFFIX))
    elif code is not None:
        click.echo(f"{described_code(code)} goes with it: -o FILE writes it beside FILE", err=True)


def _write_code(code: dict[str, Any] | None, library: Path, beside: Path) -> None:
    if code is not None:
        write_text(to_yaml(code), beside)
        click.echo(f"{beside}: written, the code of the steps; it goes where '{library}' goes", err=True)
    elif holds_code(beside):
        beside.unlink()
        click.echo(f"{beside}: removed, no step needs it any more", err=True)


def _last_word(module: str) -> str:
    """`training`, for `components/training/` as for `argosy.components.training`."""
    path = Path(module)
    name = path.resolve().name if path.is_dir() else Path(module.removesuffix(".py")).name
    return step_name(name.rpartition(".")[2])
