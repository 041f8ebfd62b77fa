"""`argosy build`: images of the steps' code, without a daemon."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from argosy.cli.parameters import STANDARD_OUTPUT, environment_option, settings_beside
from argosy.compose.settings import IMAGES, LOCK, Settings
from argosy.errors import UsageError
from argosy.text import did_you_mean

if TYPE_CHECKING:
    from argosy.code.images.builder import Builder, Built
    from argosy.code.images.recipe import Recipe, Step

_SETTINGS = ("push", "platforms", "python")
_PLATFORM = "linux/amd64"


@click.command("build")
@click.argument("targets", nargs=-1, metavar="[PIPELINE|FILE.py|MODULE|FOLDER]...", callback=settings_beside)
@click.option("--push", metavar="PREFIX", help="Send to PREFIX/NAME; default: build.push of argosy.yaml.")
@click.option("--tag", "tags", multiple=True, help="Default: one that follows from the content.")
@click.option("--name", help="The image's name below PREFIX; default: the first target's.")
@click.option(
    "--platform", "platforms", multiple=True, help=f"May be given more than once; default: {_PLATFORM}."
)
@click.option("--base", metavar="IMAGE", help="Build upon this image, not upon the components' own.")
@click.option("--python", metavar="VERSION", help="The base image's Python, where it does not say it.")
@click.option(
    "-r",
    "--requirement",
    "files",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Packages for all images, besides the components' own.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write an OCI archive.")
@click.option(
    "--dockerfile",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a Dockerfile, the lock and the code into a folder instead.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--locked", is_flag=True, help="Fail if argosy.lock lacks a package.")
@click.option("--upgrade", is_flag=True, help="Resolve packages anew.")
@environment_option
def build(targets: tuple[str, ...], **options: Any) -> None:
    """Make images with the steps' code and packages.

    One image of the steps of the pipelines and modules for each base image and set of packages.

    A layer of packages, one of the SDK, and small ones of the project's code are put upon the base image and
    sent; what the registry has is not sent again. The digests go into argosy.images.yaml, and from there into
    what compile and submit write.
    """
    if not targets:
        raise UsageError("name a pipeline, a file or a module whose steps need an image")
    if options["locked"] and options["upgrade"]:
        raise UsageError("--locked keeps argosy.lock, and --upgrade changes it: give one of them")
    build_images(targets, **options)


def build_images(
    targets: tuple[str, ...],
    *,
    push: str | None = None,
    tags: tuple[str, ...] = (),
    name: str | None = None,
    platforms: tuple[str, ...] = (),
    base: str | None = None,
    python: str | None = None,
    files: tuple[Path, ...] = (),
    output: Path | None = None,
    dockerfile: Path | None = None,
    form: str = "text",
    locked: bool = False,
    upgrade: bool = False,
) -> None:
    """The work of `argosy build` and `argosy submit --build`."""
    from argosy.code.images.builder import Builder
    from argosy.code.images.image import Platform
    from argosy.code.images.packages import Lock
    from argosy.code.images.recipe import image_name, origin_labels, recipes, requirements
    from argosy.code.images.reference import refuse_name, refuse_tags, refuse_version

    settings = Settings.find()
    own = _own(settings)
    push = push or (own.get("push") if not (output or dockerfile) else None)
    if not (push or output or dockerfile):
        raise UsageError("say where to: --push registry.example/ml/, -o FILE.tar, or --dockerfile DIR")
    if output == STANDARD_OUTPUT:
        raise UsageError("-o names the archive's file, such as hello.tar, and '-' is none")
    if output is not None and output.name in ("json", "text"):
        meant = f"'--format {output.name}' is a form"
        raise UsageError(f"-o names the archive's file, such as hello.tar; {meant}")
    if form == "json" and (dockerfile or not push):
        raise UsageError("--format json tells what was sent to a registry: it needs --push")
    refuse_tags(tags)
    if name is not None:
        refuse_name(name)
    if python is not None:
        refuse_version(python)
    if push:
        _check_place(settings.folder)
    steps = [step for target in targets for step in _steps(target)]
    if not steps:
        raise UsageError(f"no step of {', '.join(targets)} has code of yours: there is no image to make")
    more, stem = requirements(files), name or image_name(targets[0])
    chosen = recipes(steps, settings, base=base, packages=more, name=stem, alone=bool(name))
    if not chosen:
        raise UsageError(f"no step of {', '.join(targets)} needs an image made here; --base IMAGE makes one")
    builder = Builder(
        [Platform.parse(p) for p in platforms or own.get("platforms") or (_PLATFORM,)],
        Lock(settings.folder / LOCK, frozen=locked, upgrade=upgrade),
        python or own.get("python"),
        origin_labels(settings.folder),
        report=lambda line: click.echo(line, err=True),
    )
    for recipe in chosen if push else ():  # and from now on its registry is spoken to as `push` says
        builder.target_of(str(push), recipe.name)
    if dockerfile:
        _write_dockerfiles(builder, chosen, dockerfile)
        return
    made = [builder.build(recipe) for recipe in chosen]
    if output:
        builder.save(made, output, tags)
        click.echo(f"{output}: written", err=form == "json")
    if push:
        _push(builder, made, push, tags, settings, form)


def _check_place(folder: Path) -> None:
    """Refuse, before anything is made, what would be refused when the images are noted."""
    from argosy.code.images.recipe import read_pins

    read_pins(folder / IMAGES)
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {IMAGES} into '{folder}', where images are noted")


def _steps(target: str) -> list["Step"]:
    """The steps of a target; none runs here, and nothing is submitted, whatever its files do at their top."""
    from argosy.compose.loader import is_manifest, taking_calls
    from argosy.compose.upstream import import_couler

    import_couler()
    from argosy.cluster.program import called_by, composing_only, imports_from_its_package, is_program
    from argosy.code.images.recipe import Step, steps_of
    from argosy.declare.modules import home_of, prefer

    if is_manifest(target):
        raise UsageError(
            f"'{target}' is a manifest, and images are made of code: name a pipeline or a module"
        )
    path = Path(target)
    if is_program(target) and not imports_from_its_package(path):
        prefer(*home_of(path).folders)
        called = called_by(path)
        if called is not None:
            return [step for component, template in called if (step := Step.of(component, template))]
    with composing_only(path), taking_calls():
        return steps_of(target)


def _own(settings: Settings) -> dict[str, Any]:
    own = dict(settings.build)
    for key, value in own.items():
        listed = key == "platforms"
        if key not in _SETTINGS:
            raise _wrong(settings, key, f"build has no '{key}'{did_you_mean(str(key), _SETTINGS)}")
        if not isinstance(value, list if listed else str):
            raise _wrong(settings, key, f"build.{key} is not a {'list' if listed else 'text in quotes'}")
        try:
            _check_setting(key, value)
        except UsageError as error:
            raise _wrong(settings, key, f"build.{key}: {error}") from None
    return own


def _check_setting(key: str, value: Any) -> None:
    from argosy.code.images.image import Platform
    from argosy.code.images.reference import refuse_version

    if key == "platforms":
        for platform in value:
            Platform.parse(str(platform))
    elif key == "python":
        refuse_version(value)


def _wrong(settings: Settings, key: str, problem: str) -> UsageError:
    from argosy.compose.environments import Place

    file = settings.file or settings.folder
    return UsageError(f"{file}:{(Place(file) / 'build' / key).line}: {problem}")


def _push(
    builder: "Builder",
    made: list["Built"],
    prefix: str,
    tags: tuple[str, ...],
    settings: Settings,
    form: str,
) -> None:
    from argosy.code.images.recipe import write_pins

    pins = []
    sizes: list[int] = []
    for built in made:
        before = sum(r.sent for r in builder.registries.values())
        pins.append(builder.push(built, prefix, tags))
        sizes.append(sum(r.sent for r in builder.registries.values()) - before)
    write_pins(settings.folder / IMAGES, pins)
    pairs = [(pin.image, size) for pin, size in zip(pins, sizes, strict=True)]
    if form == "json":
        click.echo(json.dumps([{"image": image, "sent": size} for image, size in pairs]))
    else:
        click.echo("\n".join(f"{image}: {_size(size)} sent" for image, size in pairs))


def _write_dockerfiles(builder: "Builder", chosen: list["Recipe"], folder: Path) -> None:
    from argosy.code.images.builder import write_dockerfile

    for recipe in chosen:
        place = folder if len(chosen) == 1 else folder / recipe.name
        code = builder.code(recipe)
        locked = builder.locked_for_dockerfile(recipe)
        click.echo(f"{write_dockerfile(recipe, code, place, locked, builder.labels)}: written")


def _size(number: int) -> str:
    if not number:
        return "nothing"
    for unit, factor in (("MB", 10**6), ("kB", 10**3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} bytes"
