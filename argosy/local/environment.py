"""The environment of a step's program."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from argosy.errors import ManifestError
from argosy.local.context import Context
from argosy.local.errors import NodeError
from argosy.local.kept import Kept, Source
from argosy.local.model import Container, EnvVar, Workflow

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


# What a process needs of the machine that it runs on, and what belongs to the machine, not to the step.
_NEEDED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH"),
        *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"),
        *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
        *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    }
)
_FAMILIES = ("LC_", "ARGOSY_")
_NO_TERMINAL = "argosy.local.breakpoints.refuse"


def base_environment(
    own: Mapping[str, str], kept: Kept, given: Mapping[str, str], python: Path
) -> dict[str, str]:
    """Variables of every step of a run: what a process needs of the runner's own, and what the caller gives.

    Nothing else of the runner's environment: in a cluster a step has not got its author's shell either. This
    Python comes first on PATH, its output is unbuffered, and a breakpoint is refused.
    """
    needed = {name: text for name, text in own.items() if name in _NEEDED or name.startswith(_FAMILIES)}
    merged = {**needed, **kept.variables, **given}
    merged["PATH"] = f"{python.parent}:{merged.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    merged.setdefault("PYTHONUNBUFFERED", "1")
    merged.setdefault("PYTHONBREAKPOINT", "0" if own.get("PYTHONBREAKPOINT") == "0" else _NO_TERMINAL)
    return merged


def check_environment(workflow: Workflow, environment: Mapping[str, str], kept: Kept) -> None:
    """Raise ManifestError for a variable from a Secret or ConfigMap that nobody gives here."""
    sources: dict[str, set[Source]] = {}
    for template, variable, source in _from_outside(workflow):
        if kept.value(source) is not None:
            continue
        sources.setdefault(variable.name, set()).add(source)
        if variable.name not in environment and not variable.optional:
            raise ManifestError(
                f"template '{template}': env '{variable.name}' comes from the {source}; write the line "
                f"{source.name}/{source.key}=VALUE in a file for --env-file, or put it in the file that "
                "'secrets' in argosy.yaml names"
            )
        if len(sources[variable.name]) > 1 and variable.name in kept.variables:
            both = " and ".join(f"{s.name}/{s.key}" for s in sorted(sources[variable.name]))
            raise ManifestError(
                f"env '{variable.name}' stands for {both}, which are two values: --env-file has one line for "
                f"both; write one for each, as {source.name}/{source.key}=VALUE"
            )


def _from_outside(workflow: Workflow) -> Iterator[tuple[str, EnvVar, Source]]:
    for template in workflow.templates.values():
        for container in template.programs:
            for variable in container.env:
                if variable.source is not None:
                    yield template.name, variable, variable.source


def declared(
    container: Container, ctx: Context, pod: str, render: Callable[[str, Mapping[str, str]], str]
) -> dict[str, str]:
    """The variables that a container declares, in order; later ones may use `$(NAME)` of earlier ones.

    Raises NodeError for a Secret or ConfigMap of `envFrom` that nobody gives.
    """
    known: dict[str, str] = {}
    for whole in container.env_from:
        held = {
            s.key: text for s, text in ctx.kept.values.items() if (s.kind, s.name) == (whole.kind, whole.name)
        }
        if not held and not whole.optional:
            raise NodeError(f"envFrom needs the {whole.kind} '{whole.name}': give its file with -f")
        known |= {f"{whole.prefix}{key}": text for key, text in held.items()}
    for variable in container.env:
        if variable.field_path:
            known[variable.name] = _field(variable.field_path, ctx, pod)
        elif variable.source is not None:
            value = ctx.kept.value(variable.source)
            value = ctx.environment.get(variable.name) if value is None else value
            if value is not None:
                known[variable.name] = value
        else:
            known[variable.name] = render(variable.value or "", known)
    return known


def expand(literal: str, known: Mapping[str, str]) -> str:
    """Kubernetes' own references: `$(NAME)` of a declared variable becomes its value, `$$` a dollar sign."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(value, literal)


def _field(path: str, ctx: Context, pod: str) -> str:
    workflow = ctx.plan.workflow
    return {
        "metadata.name": pod,
        "metadata.namespace": workflow.namespace,
        "metadata.uid": f"{ctx.plan.uid}-{pod.rpartition('-')[2]}",
        "spec.nodeName": platform.node(),
        "spec.serviceAccountName": workflow.service_account,
        "status.hostIP": "127.0.0.1",
        "status.podIP": "127.0.0.1",
    }[path]
