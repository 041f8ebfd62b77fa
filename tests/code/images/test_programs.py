"""`argosy build` of Couler programs that compose at their top, with no `@pipeline`."""

from pathlib import Path

import pytest

from tests.code.images.conftest import Project, Server, needs_registry
from tests.code.images.test_push import image_of
from tests.documents import hold

pytestmark = needs_registry

HEAD = '''
import couler.argo as couler

import words
from argosy import component


@component(image="{base}")
def greet(who: str = "you") -> None:
    """Greet."""
    raise AssertionError(f"{{words.greeting(who)}} is said here, and not in a pod")


'''
TAILS = {
    "at the top": """
greet(who="Ada")
couler.run_container(image="alpine:3", command=["echo"], args=["bye"], step_name="bye")
""",
    "below the guard": """
if __name__ == "__main__":
    greet(who="Ada")
""",
    "submitted": """
from couler.argo_submitter import ArgoSubmitter
greet(who="Ada")
couler.run(submitter=ArgoSubmitter(namespace="team"))
""",
    "by our submitter": """
from argosy.cluster import ArgosySubmitter
greet(who="Ada")
couler.run(submitter=ArgosySubmitter(kubeconfig="/nowhere"))
""",
}


def write(project: Project, tail: str, name: str = "job.py") -> None:
    (project.folder / name).write_text(HEAD.format(base=project.base) + tail)


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_it_is_built_and_no_step_runs_and_nothing_is_submitted(
    project: Project, server: Server, tail: str
) -> None:
    write(project, tail)
    done = project.argosy("build", "job.py", "--push", f"{server.host}/program/")
    assert (done.returncode, done.stderr) == (0, "")
    compiled = project.argosy("submit", "job.py", "--dry-run")
    assert f"image: {image_of(project)}\n" in compiled.stdout
    assert "argosy-code" not in compiled.stdout + compiled.stderr
    (project.folder / "words.py").write_text("def greeting(who):\n    return 'Welcome'\n")
    done = project.argosy("submit", "job.py", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the code of step 'greet' changed since its image was built" in done.stderr


def test_components_that_a_module_of_the_folder_calls_at_its_top_do_not_run(
    project: Project, server: Server
) -> None:
    (project.folder / "flows").mkdir()
    write(project, TAILS["at the top"], "flows/job.py")
    done = project.argosy("build", "flows", "--push", f"{server.host}/program/")
    assert done.returncode == 0, done.stderr


def test_two_programs_may_have_a_step_of_one_name(project: Project, server: Server) -> None:
    words = ("--push", f"{server.host}/program/")
    images = {}
    for name in ("one.py", "two.py"):
        write(project, TAILS["at the top"], name)
        done = project.argosy("build", name, *words, "--format", "json")
        assert done.returncode == 0, done.stderr
        (made,) = hold("build", done.stdout)
        images[name] = made["image"]
    assert images["one.py"] != images["two.py"]
    for name, image in images.items():
        assert f"image: {image}\n" in project.argosy("submit", name, "--dry-run").stdout
    done = project.argosy("build", "one.py", "two.py", *words, "--name", "both")
    assert done.returncode == 0, done.stderr
    for name in images:
        assert f"image: {image_of(project)}\n" in project.argosy("submit", name, "--dry-run").stdout


def test_a_program_of_couler_alone_needs_no_image(project: Project) -> None:
    (project.folder / "plain.py").write_text(
        "import couler.argo as couler\n"
        'couler.run_container(image="alpine:3", command=["true"], step_name="only")\n'
    )
    done = project.argosy("build", "plain.py", "--push", "127.0.0.1:1/x/")
    assert done.returncode == 2
    assert done.stderr == "argosy: no step of plain.py has code of yours: there is no image to make\n"


def test_json_tells_what_a_registry_got_and_nothing_else(project: Project, tmp_path: Path) -> None:
    write(project, TAILS["at the top"])
    for place in (("-o", str(tmp_path / "image.tar")), ("--dockerfile", str(tmp_path / "docker"))):
        done = project.argosy("build", "job.py", *place, "--format", "json")
        told = "argosy: --format json tells what was sent to a registry: it needs --push\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
    assert not list(tmp_path.glob("image.tar")) and not (tmp_path / "docker").exists()


def test_output_of_other_commands_is_no_file_here(project: Project) -> None:
    write(project, TAILS["at the top"])
    done = project.argosy("build", "job.py", "--output", "json")
    told = "argosy: -o names the archive's file, such as hello.tar; '--format json' is a form\n"
    assert (done.returncode, done.stderr) == (2, told)
    assert not (project.folder / "json").exists()
