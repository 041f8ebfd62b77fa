"""Settings of a whole installation: one file, `argosy.yaml`, laid under every pipeline.

```yaml
images:                          # prefix of an image's name: what stands there instead
  123456789012.dkr.ecr.eu-central-1.amazonaws.com/: registry.example/ml/
namespace: ml-pipelines
serviceAccountName: workflow-sa
workflow:                        # fields of Argo's workflow spec; a pipeline's own win
  archiveLogs: true
  artifactRepositoryRef: {configMap: artifact-repositories, key: default-v1}
secrets: secrets.yaml            # values of Secrets and ConfigMaps for runs on one machine; kept out of Git
templateDefaults:                # fields of every template that does not set them itself
  nodeSelector: {pool: cpu}
parameters: {dataset: s3://all/digits}        # these three win over a pipeline's own
components: {train: {resources: {cpu: 4}}}
pipelines: {nightly: {steps: {train: {activeDeadlineSeconds: 60}}}}
build: {push: registry.example/ml/, platforms: [linux/amd64], python: "3.11"}    # of `argosy build`
environments:                    # the same keys again, for one environment: argosy.compose.environments
  dev: {namespace: ml-dev}
codeInImages:                    # prefixes of images that hold the code of their steps: none travels to them
- registry.example/ml/
stack: image-classification      # the embedded stack of `argosy run`, where several are installed
runner: podman                   # of `argosy run`: process, podman or docker
```

The order is: code < settings < environment < command line. `workflow` and `templateDefaults` of the settings
themselves are defaults, which a pipeline's own fields win over; those of an environment win over both.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from argosy.declare.merge import merged
from argosy.declare.names import NAMED, wrong_name
from argosy.errors import UsageError
from argosy.manifest.reading import OwnLoader
from argosy.text import did_you_mean

if TYPE_CHECKING:
    from argosy.compose.environments import Overlay, Place

FILE = "argosy.yaml"
IMAGES = "argosy.images.yaml"  # argosy.code.images.recipe
LOCK = "argosy.lock"  # argosy.code.images.packages
VARIABLE = "ARGOSY_SETTINGS"
ENVIRONMENT = "ARGOSY_ENV"
_KEYS: dict[str, type] = {
    "images": dict,
    "namespace": str,
    "serviceAccountName": str,
    "workflow": dict,
    "templateDefaults": dict,
    "secrets": str,
    "parameters": dict,
    "components": dict,
    "pipelines": dict,
    "environments": dict,
    "build": dict,
    "codeInImages": list,
    "stack": str,
    "runner": str,
}
RUNNERS = ("process", "podman", "docker")
"""A step of `argosy run` is a process of this machine, or a container of its image."""

_LAID_OVER = ("parameters", "components", "pipelines")
_environment: ContextVar[str | None] = ContextVar("argosy_environment", default=None)


@contextmanager
def in_environment(name: str | None) -> Iterator[None]:
    """While inside: `Settings.find` gives the settings of this environment."""
    token = _environment.set(name)
    try:
        yield
    finally:
        _environment.reset(token)


# Of the command that runs: a step's thread asks for the same settings, and a context's variable ends there.
_beside: list[Path] = []


@contextmanager
def beside(*targets: str) -> Iterator[None]:
    """While inside: where no `argosy.yaml` is above the current folder, the one above these files counts."""
    before = [*_beside]
    paths = [Path(target.partition(":")[0]) for target in targets]
    _beside[:] = [folder for path in paths if (folder := _folder_at(path))]
    try:
        yield
    finally:
        _beside[:] = before


def _folder_of(*names: str) -> Path | None:
    """The nearest folder from here upwards that has one of these files; this one is the empty path.

    Where there is none, that of all that the command names; settings that `$ARGOSY_SETTINGS` names hold for
    several projects.

    Raises:
        UsageError: of that, one part has another such folder than the rest.
    """
    here = Path.cwd()
    if folder := _upwards(here, names):
        return Path() if folder == here else folder
    found = {_upwards(place, names): place for place in _beside}
    if len(found) > 1 and not os.environ.get(VARIABLE):
        raise UsageError(_differing(found, names))
    return next(iter(found)) if len(found) == 1 else None


def _differing(found: Mapping[Path | None, Path], names: Iterable[str]) -> str:
    """The fault of one command with files of several projects, or of one and of none, in words."""
    files = [next(folder / n for n in names if _is_there(folder / n)) for folder in found if folder]
    if None in found:
        holds = f"'{files[0]}' would hold for a part; none is above {found[None]}"
    else:
        holds = f"'{files[0]}' and '{files[1]}' would hold for a part each"
    return f"{holds}: name the files of one project in a command, or the settings for all in ${VARIABLE}"


def _folder_at(path: Path) -> Path | None:
    """The folder that a path leads to, or that its file is in."""
    try:
        return (path if path.is_dir() else path.parent).resolve() if path.exists() else None
    except OSError:  # a name that no file can have
        return None


def _upwards(start: Path, names: Iterable[str]) -> Path | None:
    above = (start, *start.parents)
    return next((f for f in above if any(_is_there(f / name) for name in names)), None)


def _is_there(file: Path) -> bool:
    """Whether a file is there, or a link to one that is lost: that is told when it is read."""
    return file.is_file() or file.is_symlink()


@dataclass(frozen=True)
class Settings:
    """The settings of an installation; empty by default.

    Attributes:
        secrets: the file of `secrets`, which is named from the settings' own folder.
        folder: where the project's own files are.
        content: the file as it was read.
        chosen: the name of the environment.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    namespace: str | None = None
    service_account: str | None = None
    workflow: Mapping[str, Any] = field(default_factory=dict)
    template_defaults: Mapping[str, Any] = field(default_factory=dict)
    secrets: Path | None = None
    build: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    folder: Path = Path()
    overlays: tuple["Overlay", ...] = ()
    environment: "Overlay | None" = None
    code_in_images: tuple[str, ...] = ()
    stack: str | None = None
    runner: str = RUNNERS[0]
    content: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    chosen: str | None = None

    @classmethod
    def find(cls) -> "Settings":
        """The settings of $ARGOSY_SETTINGS, else of the nearest `argosy.yaml` upwards from here, or none.

        Where there is none, the nearest one upwards from what the command names counts: `beside`.
        In the environment of `in_environment`, else of $ARGOSY_ENV, else in none. Where no `argosy.yaml`
        tells the project's folder, it is the nearest that has what `argosy build` wrote, else this one.
        """
        environment = _environment.get() or os.environ.get(ENVIRONMENT)
        if named := os.environ.get(VARIABLE):
            # Settings that a variable names may be many projects': the project's own files are here.
            return replace(
                cls.load(Path(named), environment), folder=_folder_of(FILE, IMAGES, LOCK) or Path()
            )
        folder = _folder_of(FILE)
        if folder is not None:
            return cls.load(folder / FILE, environment)
        if environment:
            raise UsageError(f"there is no environment '{environment}': there is no '{FILE}'")
        return cls(folder=_folder_of(IMAGES, LOCK) or Path())

    @classmethod
    def load(cls, path: Path, environment: str | None = None) -> "Settings":
        """The settings of a file, in one of its environments or in none.

        Raises:
            UsageError: it cannot be read, or has an unknown key or a value of another type.
        """
        try:
            content = yaml.load(path.read_bytes(), Loader=OwnLoader) or {}
        except OSError as error:
            raise UsageError(f"cannot read the settings '{path}': {error.strerror}") from None
        except yaml.YAMLError as error:
            mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", error)
            raise UsageError(f"{path}{f':{mark.line + 1}' if mark else ''}: not YAML: {problem}") from None
        if not isinstance(content, dict):
            raise UsageError(f"{path}: settings are a mapping")
        return cls._of(content, path, environment)

    @classmethod
    def _of(cls, content: Mapping[str, Any], path: Path, environment: str | None) -> "Settings":
        """The settings of a file with this content."""
        _check(content, path)
        settings = cls(
            images=content.get("images", {}),
            namespace=content.get("namespace"),
            service_account=content.get("serviceAccountName"),
            workflow=content.get("workflow", {}),
            template_defaults=content.get("templateDefaults", {}),
            secrets=path.parent / content["secrets"] if content.get("secrets") else None,
            build=content.get("build", {}),
            file=path,
            folder=path.parent,
            code_in_images=tuple(map(str, content.get("codeInImages", ()))),
            stack=content.get("stack"),
            runner=content.get("runner", RUNNERS[0]),
            content=content,
            chosen=environment,
        )
        return settings._with_overlays(content, path, environment)

    def instead(self, content: Mapping[str, Any]) -> "Settings":
        """The settings of the same file with another content; raises UsageError as `load` does."""
        return self._of(content, self.file or self.folder, self.chosen)

    def _with_overlays(self, content: Mapping[str, Any], path: Path, environment: str | None) -> "Settings":
        if not environment and not any(key in content for key in (*_LAID_OVER, "environments")):
            return self
        from argosy.compose.environments import Overlay, Place

        own = Overlay.read({key: content[key] for key in _LAID_OVER if key in content}, Place(path))
        place = Place(path) / "environments"
        # All are read: a mistake in one is found before anybody needs it.
        known = {str(n): Overlay.read(e, place / n) for n, e in content.get("environments", {}).items()}
        if not environment:
            return replace(self, overlays=(own,))
        if environment not in known:
            raise UsageError(
                f"{path}: there is no environment '{environment}'{did_you_mean(environment, known)}"
            )
        chosen = known[environment]
        return replace(
            self,
            images={**self.images, **chosen.images},
            namespace=_chosen(chosen.namespace, self.namespace),
            service_account=_chosen(chosen.service_account, self.service_account),
            overlays=(own, chosen),
            environment=chosen,
        )

    def over(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """A compiled manifest with what wins over the program laid over it."""
        for overlay in self.overlays:
            manifest = overlay.over(manifest)
        return manifest

    def around_file(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """A manifest that was compiled before, with the chosen environment laid over it.

        Raises:
            UsageError: the environment does not fit, or makes something that Argo or Kubernetes would refuse.
        """
        return self._settled(lambda settings: settings.over_file(manifest))

    def over_file(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """As `around_file`, for the linter, which tells what is wrong then.

        A manifest whose structure is not Argo's stays as it is.
        """
        from argosy.compose.environments.overlay import is_well_formed
        from argosy.manifest.parts import spec_of, with_spec

        if self.environment is None or not is_well_formed(manifest):
            return manifest
        images = Settings(images=self.environment.images)
        spec = spec_of(manifest)
        if templates := spec.get("templates"):
            manifest = with_spec(manifest, {**spec, "templates": [images._template(t) for t in templates]})
        return self.environment.over(manifest)

    def given(self, manifest: dict[str, Any]) -> dict[str, str]:
        """The values that the environment, or the settings, give a pipeline's parameters."""
        return {n: v for overlay in self.overlays for n, v in overlay.given(manifest).items()}

    def places(self, manifest: dict[str, Any]) -> "dict[str, Place]":
        """Where those values stand."""
        return {n: place for overlay in self.overlays for n, place in overlay.places(manifest).items()}

    def image(self, name: str) -> str:
        """The image that stands for `name` here: the longest prefix counts."""
        prefix = max((p for p in self.images if name.startswith(p)), key=len, default=None)
        return name if prefix is None else self.images[prefix] + name.removeprefix(prefix)

    def image_of(self, step: str, name: str) -> str:
        """The image of a step whose code says `name`: that of `components`, else what stands for it here."""
        said = [image for overlay in self.overlays if (image := overlay.image_of(step))]
        return said[-1] if said else self.image(name)

    def around(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """A manifest with the installation's settings laid under it, and over it what wins over the program.

        Raises:
            UsageError: the settings do not fit, or make something that Argo or Kubernetes would refuse.
        """
        return self._settled(lambda settings: settings._around(manifest))

    def _settled(self, lay: Callable[["Settings"], dict[str, Any]]) -> dict[str, Any]:
        if self.file is None:
            return lay(self)
        from argosy.compose.environments.faults import settled

        return settled(lay, self, Settings())

    def _around(self, manifest: dict[str, Any]) -> dict[str, Any]:
        from argosy.manifest.parts import spec_of, with_spec

        manifest = with_spec(manifest, self.under(dict(spec_of(manifest))))
        if self.namespace and manifest["kind"] != "ClusterWorkflowTemplate":
            manifest = {**manifest, "metadata": _placed(manifest["metadata"], self.namespace)}
        return self.over(manifest)

    def under(self, spec: dict[str, Any]) -> dict[str, Any]:
        """A workflow spec with the installation's laid under it."""
        spec = merged(spec, {k: v for k, v in self.workflow.items() if k not in spec})
        if self.service_account:
            spec["serviceAccountName"] = self.service_account
        if self.template_defaults:
            spec["templateDefaults"] = merged(self.template_defaults, spec.get("templateDefaults", {}))
        # Templates are the long part: they come last.
        spec["templates"] = [self._template(t) for t in spec.pop("templates")]
        return spec

    def _template(self, template: dict[str, Any]) -> dict[str, Any]:
        kind = "script" if "script" in template else "container"
        container = template.get(kind)
        if not container or not self.images or "image" not in container:
            return template
        return {**template, kind: {**container, "image": self.image(container["image"])}}


_NOUNS: dict[type, str] = {dict: "mapping", str: "text", list: "list"}
# Of a workflow's spec, yet the program alone says it.
_OF_THE_PROGRAM = ("entrypoint", "templates")


def _check(content: Mapping[str, Any], path: Path) -> None:
    """Raise UsageError for the first setting that is unknown or of another type, at its line."""

    def wrong(key: object, problem: str) -> UsageError:
        from argosy.compose.environments import Place

        return UsageError(f"{path}:{(Place(path) / key).line}: {problem}")

    for key, value in content.items():
        if key not in _KEYS:
            raise wrong(key, f"unknown setting '{key}'{did_you_mean(str(key), _KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise wrong(key, f"the setting '{key}' is not a {_NOUNS[_KEYS[key]]}")
        if key in NAMED and value and (fault := wrong_name(key, value)):
            raise wrong(key, f"the setting '{key}': {fault}")
    if (runner := content.get("runner", RUNNERS[0])) not in RUNNERS:
        raise wrong("runner", f"the setting 'runner' is {runner!r}; one of {', '.join(RUNNERS)}")
    if any(content.get(key) for key in ("images", "workflow", "templateDefaults")):
        _check_laid_under(content, path)


def _check_laid_under(content: Mapping[str, Any], path: Path) -> None:
    """Raise UsageError for a field that Argo does not have, or an image's name that is no text."""
    from argosy.compose.environments import Place
    from argosy.compose.environments.fields import refuse_defects, texts

    place = Place(path)
    texts(content.get("images"), place / "images")
    for key, kind in (("workflow", "WorkflowSpec"), ("templateDefaults", "Template")):
        refuse_defects(content.get(key) or {}, kind, place / key)
    if said := next((k for k in _OF_THE_PROGRAM if k in (content.get("workflow") or {})), None):
        raise (place / "workflow" / said).error(f"'{said}' is said by the program")


def _placed(metadata: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The metadata in a namespace, which stands beside the name."""
    named = {key: metadata[key] for key in ("name", "generateName") if key in metadata}
    rest = {key: value for key, value in metadata.items() if key not in named and key != "namespace"}
    return {**named, "namespace": namespace, **rest}


def _chosen(name: str | None, otherwise: str | None) -> str | None:
    """The environment's name, or the settings'; none where the environment's is empty."""
    return otherwise if name is None else name or None
