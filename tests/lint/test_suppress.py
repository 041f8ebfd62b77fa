"""Comments that silence findings."""

from argosy.lint import lint_manifest
from argosy.lint.engine import Silence

MANIFEST = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{generateName: x-}}
spec:
  entrypoint: main
  templates:
  - name: main
    container:{on_container}
{above}      image: alpine:latest{behind}
      command: [date]
      resources: {{requests: {{cpu: 10m}}}}
"""


def codes(above: str = "", behind: str = "", on_container: str = "") -> set[str]:
    return {
        v.code for v in lint_manifest(MANIFEST.format(above=above, behind=behind, on_container=on_container))
    }


def test_without_a_comment_it_is_found() -> None:
    assert codes() == {"ARG509"}


def test_behind_the_line() -> None:
    assert codes(behind="  # argosy: ignore[ARG509]") == set()
    assert codes(behind="  # why: a demo. argosy: ignore[ARG509]") == {"ARG509"}
    assert codes(behind="  # argosy: ignore[ARG701, ARG509] a demo") == set()


def test_on_a_line_of_its_own_it_covers_the_next() -> None:
    assert codes(above="      # argosy: ignore[ARG509]\n      # a demo\n\n") == set()
    assert codes(on_container="  # argosy: ignore[ARG509]") == {"ARG509"}


def test_a_family_and_everything() -> None:
    assert codes(behind="  # argosy: ignore[ARG5]") == set()
    assert codes(behind="  # argosy: ignore") == set()
    assert codes(behind="  # argosy: ignore[ARG7]") == {"ARG509"}


def test_the_whole_file() -> None:
    silence = Silence("# argosy: ignore-file[ARG509]\na: 1\n")
    assert silence.covers("ARG509", 99) and not silence.covers("ARG510", 1)


def test_a_file_that_cannot_be_read_can_still_be_silenced() -> None:
    assert lint_manifest("# argosy: ignore-file[ARG001]\na: [") == []
