"""`load_component`: KFP's component.yaml as a component of ours."""

from pathlib import Path
from typing import cast

from argosy.errors import DeclarationError
from argosy.reuse.document import Source
from argosy.reuse.kfp_v1 import read_v1
from argosy.reuse.kfp_v2 import read_v2
from argosy.reuse.loaded import LoadedComponent
from argosy.step.absent import Absent, is_loading


def load_component(source: str | Path, name: str | None = None) -> LoadedComponent:
    """The component of a KFP v1 or v2 component.yaml that runs a container.

    It is called in a pipeline as any other: names of inputs and outputs are those that KFP itself gives
    them in Python.  KFP's artifacts may be files or directories.  `.options(...)` adds resources and
    whatever else a file of KFP's does not say.

    In the container of a step of the same file it is a stand-in: only who composes reads the file.

    Args:
        source: the path of a file, or the text itself. A relative path is one from the file that calls this,
            else from the current folder.
        name: the step's name in YAML; by default the component's.

    Raises:
        DeclarationError: the file cannot be read, or holds something that cannot be carried over to Argo;
            the message has the file and the line.
    """
    if is_loading():
        return cast(LoadedComponent, Absent(f"argosy.load_component({str(source)!r})"))
    document = Source(source)
    if len(document.documents) > 1:
        extra = next((k for d in document.documents[1:] for k in d), "a second document")
        raise document.error(f"'{extra}' cannot be carried over: set it with .options(...)")
    root = document.documents[0]
    fallback = Path(source).stem if document.name != "<text>" else None
    if "implementation" in root:
        return read_v1(document, root, name, fallback)
    if "deploymentSpec" in root:
        return read_v2(document, root, name, fallback)
    if "kind" in root:
        raise document.error(f"is a {root['kind']}; a library of templates is read with argosy.load_library")
    raise DeclarationError(f"{document.name}: is no KFP component: it has no 'implementation'")
