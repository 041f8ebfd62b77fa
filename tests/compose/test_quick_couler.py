"""Couler is imported without its cluster client, and still has it when it is wanted."""

import subprocess
import sys


def printed_by(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_a_pipeline_does_not_load_the_cluster_client() -> None:
    code = (
        "import sys, argosy.pipelines.pipeline_image_classification as p; print('kubernetes' in sys.modules)"
    )
    assert printed_by(code) == "False"


def test_couler_finds_the_client_when_it_needs_it() -> None:
    code = (
        "import argosy.pipelines.train_model_image_classification, couler.argo_submitter as s;"
        "print(s.k8s_client.CustomObjectsApi.__module__, s.config.ConfigException.__name__)"
    )
    assert printed_by(code) == "kubernetes.client.api.custom_objects_api ConfigException"


def test_everybody_else_gets_the_real_package() -> None:
    code = (
        "import argosy.pipelines.train_model_image_classification, kubernetes;"
        "print(kubernetes.client.CoreV1Api.__name__, bool(kubernetes.__version__))"
    )
    assert printed_by(code) == "CoreV1Api True"


def test_a_client_that_is_loaded_already_is_used() -> None:
    code = (
        "import kubernetes, argosy.pipelines.train_model_image_classification, couler.argo as c;"
        "print(c.k8s_client is kubernetes.client)"
    )
    assert printed_by(code) == "True"


def test_commands_that_compose_nothing_import_no_couler() -> None:
    """A manifest runs without it, in half the memory."""
    code = (
        "import sys, argosy.cli.run, argosy.cli.compile, argosy.cli.lint, argosy.cli.runs;"
        "print(sorted({'couler', 'kubernetes'} & set(sys.modules)))"
    )
    assert printed_by(code) == "[]"
