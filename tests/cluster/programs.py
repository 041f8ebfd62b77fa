"""Couler programs, as text for files."""

PIPELINE = '''
from typing import Literal
import couler.argo as couler
from argosy import pipeline


@pipeline()
def nightly(epochs: int, mode: Literal["fast", "slow"] = "fast"):
    """Does a little."""
    couler.run_container(image="alpine", command=["echo"], args=[epochs], step_name="echo")
'''

COIN = """
import couler.argo as couler
from couler.argo_submitter import ArgoSubmitter


def flip():
    return couler.run_script(image="python:3", source="print('heads')")


def say(word):
    return couler.run_container(image="alpine", command=["echo"], args=[word], step_name=word)


result = flip()
couler.when(couler.equal(result, "heads"), lambda: say("heads"))
couler.when(couler.equal(result, "tails"), lambda: say("tails"))
"""

STEP = """
import couler.argo as couler

couler.run_container(image="alpine", command=["true"], step_name="only")
"""

WITH_COMPONENT = '''
from typing import NamedTuple
import couler.argo as couler
from argosy import component


class Score(NamedTuple):
    score: float


@component(image="alpine")
def measure(sample: str = "a") -> Score:
    """Measures."""
    raise AssertionError("this runs in the cluster")


@component(image="alpine")
def report(score: float) -> None:
    """Reports."""
    raise AssertionError("this runs in the cluster")


measured = measure()


def branch():
    report(score=measured.score)
    couler.run_container(image="alpine", command=["echo"], args=[measured.score], step_name="plain")


couler.when(couler.bigger(measured.score, 0.5), branch)
'''

SMALLEST = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "greet"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}]},
}

CRON = """
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata:
  name: greet
spec:
  schedules: ["0 3 * * *"]
  workflowSpec:
    entrypoint: main
    templates:
    - name: main
      container: {image: alpine, command: [echo, hello]}
"""

MANIFEST = """
apiVersion: argoproj.io/v1alpha1
kind: {kind}
metadata:
  {name}
spec:
  entrypoint: main
  arguments:
    parameters:
    - name: word
      value: hello
  templates:
  - name: main
    container: {{image: alpine, command: [echo, "{{{{workflow.parameters.word}}}}"]}}
"""

HELLO = '''
from argosy import component, pipeline


@component(image="python:3.11-slim")
def greet(who: str) -> None:
    """Greet somebody."""
    print("hello", who)


@pipeline
def hello(who: str = "world"):
    greet(who=who)
'''
