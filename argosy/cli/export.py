"""`argosy export`: components in the forms that others use."""

from pathlib import Path

import click

from argosy.catalogue.discover import find_components, pick
from argosy.cli.components import module_option
from argosy.cli.graph import write_text
from argosy.cli.parameters import environment_option, output_file, settings_beside
from argosy.compose.settings import Settings
from argosy.declare.names import step_name
from argosy.manifest.emit import to_yaml
from argosy.reuse.kfp_export import kfp_component, left_out
from argosy.reuse.library import LibraryKind, library_manifest

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=output_file,
    help="Write FILE, not standard output.",
)


@click.group()
def export() -> None:
    """Write components in the forms that others use."""


@export.command()
@click.argument("name")
@module_option
@output_option
def kfp(name: str, module: str | None, output: Path | None) -> None:
    """Write the component NAME as a component.yaml of Kubeflow Pipelines.

    Fields that such a file lacks (resources, node selector, ...) are named on standard error: KFP has them on
    the task.
    """
    component = pick(find_components(module), name).component
    write_text(to_yaml(kfp_component(component)), output)
    if missing := left_out(component):
        click.echo(f"argosy: to be set on KFP's task: {', '.join(missing)}", err=True)


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
@output_option
def library(module: str | None, name: str | None, kind: LibraryKind, output: Path | None) -> None:
    """Write all components of a module as one WorkflowTemplate, for others to call by templateRef.

    Without a module: the components that come with Argosy. In a pipeline the file is read with
    argosy.load_library.
    """
    components = [entry.component for entry in find_components(module)]
    called = name or _last_word(module or "argosy")
    write_text(to_yaml(Settings.find().around(library_manifest(components, called, kind))), output)


def _last_word(module: str) -> str:
    """`training`, for `components/training/` as for `argosy.components.training`."""
    path = Path(module)
    name = path.resolve().name if path.is_dir() else Path(module.removesuffix(".py")).name
    return step_name(name.rpartition(".")[2])
