"""Volumes and variables from ConfigMaps, Secrets and claims."""

from __future__ import annotations

import pytest

from argosy.errors import ManifestError
from argosy.local.kept import CONFIG_MAP, SECRET, Kept, Source
from tests.local.conftest import Run, log, node, phases

HELD = Kept(
    {
        Source(CONFIG_MAP, "settings", "level"): "debug",
        Source(CONFIG_MAP, "settings", "mode"): "fast",
        Source(SECRET, "login", "token"): "t0k",
    }
)
STEP = """
volumes: [{name: v, %s}]
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- name: a
  container:
    image: x
    command: [sh, -c, 'cd /etc/v && for f in *; do echo "$f=$(cat $f)"; done']
    volumeMounts: [{name: v, mountPath: /etc/v}]
"""


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ("configMap: {name: settings}", "level=debug\nmode=fast\n"),
        ("configMap: {name: settings, items: [{key: mode, path: m.txt}]}", "m.txt=fast\n"),
        ("secret: {secretName: login}", "token=t0k\n"),
    ],
)
def test_keys_are_files(run: Run, volume: str, text: str) -> None:
    assert log(run(STEP % volume, kept=HELD), "a") == text


def test_a_sub_path_is_one_key(run: Run) -> None:
    one = STEP.replace("mountPath: /etc/v", "mountPath: /etc/v/here, subPath: mode")
    one = one.replace("""'cd /etc/v && for f in *; do echo "$f=$(cat $f)"; done'""", "cat /etc/v/here")
    assert log(run(one % "configMap: {name: settings}", kept=HELD), "a") == "fast"


def test_what_nobody_gives_is_named(run: Run) -> None:
    result = run(STEP % "configMap: {name: none}", kept=HELD)
    assert phases(result) == {"a": "Error"}
    assert "the volume at /etc/v needs the config map 'none'" in node(result, "a").message


@pytest.mark.parametrize(
    "where",
    [
        "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
        "volumeClaimTemplates: [{metadata: {name: v}}]",
    ],
)
def test_a_claim_is_a_folder_that_steps_share(run: Run, where: str) -> None:
    result = run(f"""
{where}
templates:
- {{name: main, steps: [[{{name: put, template: put}}], [{{name: get, template: get}}]]}}
- name: put
  container:
    image: x
    command: [sh, -c, echo shared > /data/file]
    volumeMounts: [{{name: v, mountPath: /data}}]
- name: get
  container:
    image: x
    command: [cat, /data/file]
    volumeMounts: [{{name: v, mountPath: /data}}]
""")
    assert log(result, "get") == "shared\n"


def test_all_keys_may_be_variables(run: Run) -> None:
    result = run(
        """
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- name: a
  container:
    image: x
    command: [sh, -c, 'echo "$level $T_token"']
    envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: login}, prefix: T_}]
""",
        kept=HELD,
    )
    assert log(result, "a") == "debug t0k\n"


@pytest.mark.parametrize(
    ("volume", "says"),
    [("hostPath: {path: /}", r"\(hostPath\) cannot be mounted"), ("nfs: {}", r"\(nfs\) cannot be mounted")],
)
def test_other_volumes_are_refused_by_name(run: Run, volume: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        run(STEP % volume)


def test_a_sub_path_cannot_lead_out(run: Run) -> None:
    with pytest.raises(ManifestError, match="leads out of the volume"):
        run(STEP.replace("mountPath: /etc/v", "mountPath: /etc/v, subPath: ../x") % "emptyDir: {}")
