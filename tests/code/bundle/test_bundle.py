"""The bundle: what of a project travels, and that a step runs from it alone."""

import base64
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.code import project
from argosy.code.bundle.archive import Bundle
from argosy.code.bundle.attach import Attached, attach
from argosy.compose.settings import Settings
from argosy.errors import ManifestError, UsageError

STEP = '''
from argosy import component
from argosy.step.outputs import Outputs
{imports}

@component(image="python:3.11-slim")
def greet(who: str) -> Outputs(text=str):
    """Greet somebody."""
    {body}
'''


def write(root: Path, files: dict[str, str]) -> None:
    """Files by their paths."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def step(imports: str = "", body: str = "return type('R', (), {'text': who})") -> str:
    return STEP.format(imports=imports, body=body)


def workflow(command: list[str], **container: Any) -> dict[str, Any]:
    template = {"name": "greet", "container": {"image": "python:3.11-slim", "command": command, **container}}
    return {"kind": "Workflow", "metadata": {"generateName": "hello-"}, "spec": {"templates": [template]}}


def bundled(root: Path, module: str = "steps", settings: Settings | None = None) -> Attached:
    manifest = workflow(["python", "-m", "argosy.step", f"{module}:greet"])
    return attach(manifest, settings or Settings(), [str(root)])


def names(attached: Attached) -> list[str]:
    """What of the user's is in the bundle."""
    assert attached.bundle is not None
    found = zipfile.ZipFile(io.BytesIO(attached.bundle.data)).namelist()
    return [n for n in found if not n.startswith("argosy/") and not n.endswith("/")]


def run(bundle: Bundle | None, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A step with the bundle on its path and nothing installed."""
    assert bundle is not None
    path = tmp_path / "code.zip"
    path.write_bytes(bundle.data)
    start = (
        "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
        "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-I", "-S", "-c", start, str(path), *words]
    folder = tmp_path / "fresh"
    folder.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)


def test_what_a_module_imports_of_its_project_goes_along(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "steps.py": step(
                "import shop.prices\nfrom shop.words import *", "from late import deep; return deep(who)"
            ),
            "shop/__init__.py": "",
            "shop/prices.py": "from . import tax\nfrom .words import hi",
            "shop/tax.py": "import json, os.path",
            "shop/words.py": "hi = 'hi'",
            "shop/unused.py": "",
            "late.py": "def deep(x): ...",
            "other.py": "",
        },
    )
    assert names(bundled(tmp_path)) == [
        "late.py",
        "shop/__init__.py",
        "shop/prices.py",
        "shop/tax.py",
        "shop/words.py",
        "steps.py",
    ]


def test_a_star_takes_the_modules_that_a_package_lists(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "steps.py": step(
                "from shop import *\nfrom shop.deep import *\nfrom json import *", "return tax.RATE"
            ),
            "shop/__init__.py": "WORD = 'hi'\n__all__ = ['tax', 'WORD']\n__all__ += ['more']\n",
            "shop/tax.py": "from .rates import RATE",
            "shop/rates.py": "RATE = '1'",
            "shop/more.py": "",
            "shop/other.py": "",
            "shop/deep/__init__.py": "from ._list import *\n__all__: list = ['a']\n__all__.extend(['b'])\n",
            "shop/deep/_list.py": "__all__ = ['c']\nc = 1",
            "shop/deep/a.py": "",
            "shop/deep/b.py": "",
            "shop/deep/c.py": "",
        },
    )
    bundle = bundled(tmp_path)
    left_out = {"shop/other.py", "shop/deep/c.py"}
    own = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.py")}
    assert set(names(bundle)) == own - left_out


def test_a_module_is_parsed_once_until_it_changes(tmp_path: Path) -> None:
    write(tmp_path, {"steps.py": step(imports="import one"), "one.py": "", "two.py": ""})
    assert names(bundled(tmp_path)) == ["one.py", "steps.py"]
    parsed = project._parsed.cache_info()
    assert names(bundled(tmp_path)) == ["one.py", "steps.py"]
    assert project._parsed.cache_info().misses == parsed.misses
    before = (tmp_path / "steps.py").stat()
    (tmp_path / "steps.py").write_text(step(imports="import two"))
    os.utime(tmp_path / "steps.py", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert names(bundled(tmp_path)) == ["steps.py", "two.py"]
    assert project._parsed.cache_info().misses == parsed.misses + 2


def test_a_package_takes_its_data_and_leaves_what_is_private(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/__init__.py": "", "pkg/steps.py": step(), "pkg/labels": "a", "pkg/data/more": "b"})
    for name in (
        ".env",
        "prod.env",
        ".git/config",
        ".venv/x",
        "venv/pyvenv.cfg",
        "venv/lib",
        "__pycache__/a.pyc",
    ):
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("private")
    write(
        tmp_path,
        {"beside": "not in a package", "pkg/sub/__init__.py": "", "pkg/sub/alone.py": "not imported"},
    )
    assert names(bundled(tmp_path, "pkg.steps")) == [
        "pkg/__init__.py",
        "pkg/data/more",
        "pkg/labels",
        "pkg/steps.py",
    ]


DATA = {
    "shop/__init__.py": "",
    "shop/steps.py": step(
        "from importlib.resources import files",
        "return type('R', (), {'text': files('shop.data').joinpath('a').read_text() "
        "+ (files('shop') / 'more' / 'deep' / 'b').read_text()})",
    ),
    "shop/data/__init__.py": "from shop.words import hi",
    "shop/data/a": "a",
    "shop/data/unused.py": "",
    "shop/more/__init__.py": "",
    "shop/more/deep/__init__.py": "",
    "shop/more/deep/b": "b",
    "shop/words.py": "hi = 'hi'",
    "shop/none/__init__.py": "",
    "shop/none/code.py": "",
}


def test_the_data_of_a_sub_package_goes_along_with_what_its_init_imports(tmp_path: Path) -> None:
    write(tmp_path, DATA)
    attached = bundled(tmp_path, "shop.steps")
    left_out = ("shop/data/unused.py", "shop/none/__init__.py", "shop/none/code.py")
    assert names(attached) == sorted(set(DATA) - set(left_out)) and attached.notes == ()
    done = run(attached.bundle, tmp_path, "argosy.step", "shop.steps:greet", "--who=Ada")
    assert (done.returncode, done.stdout) == (0, "text = 'ab'\n"), done.stderr


def test_a_large_sub_package_or_one_that_cannot_travel_stays_here_and_is_named(tmp_path: Path) -> None:
    more = {
        "shop/big/__init__.py": "",
        "shop/big/c": "c" * 600_000,
        "shop/odd/__init__.py": "(",
        "shop/odd/d": "d",
    }
    write(tmp_path, {**DATA, **more})
    attached = bundled(tmp_path, "shop.steps")
    assert "shop/data/a" in names(attached) and not set(more) & set(names(attached))
    big, odd = attached.notes
    assert big == (
        f"{tmp_path}/shop/big: 0.6 MiB of a package that nothing imports do not travel; "
        "'import shop.big' in the module of a step that reads its data"
    )
    assert odd.startswith(f"{tmp_path}/shop/odd/__init__.py:1: ") and "the data of 'shop.odd'" in odd
    write(tmp_path, {"shop/steps.py": step("import shop.big")})
    assert "shop/big/c" in names(bundled(tmp_path, "shop.steps"))


SECRETS = {
    "argosy.yaml": "secrets: pkg/values.yaml\n",
    "pkg/__init__.py": "",
    "pkg/steps.py": step(),
    "pkg/values.yaml": "db/password: hunter2\n",
    "pkg/tls.pem": "-----BEGIN EC PRIVATE KEY-----\n",
    "pkg/deep/account.json": '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMII"}',
    "pkg/tls.key": "x",
    "pkg/store.p12": "x",
    "pkg/id_ed25519": "x",
    "pkg/authority.pem": "-----BEGIN CERTIFICATE-----\n",
    "pkg/labels": "a",
}


@pytest.mark.parametrize("whole", [False, True])
def test_secrets_of_the_settings_and_private_keys_stay_here_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    write(tmp_path, SECRETS)
    (tmp_path / "pkg" / "linked.yaml").symlink_to("values.yaml")
    monkeypatch.chdir(tmp_path)
    found = project.find(["pkg.steps"], [str(tmp_path)], whole=whole)
    own = ["pkg/__init__.py", "pkg/authority.pem", "pkg/labels", "pkg/steps.py"]
    assert sorted(found.files) == own
    keys = {f"pkg/{n}" for n in ("tls.pem", "tls.key", "store.p12", "id_ed25519", "deep/account.json")}
    said = {f"{tmp_path / key}: a private key does not travel" for key in keys}
    named = "the file that 'secrets' in argosy.yaml names does not travel"
    said |= {f"{tmp_path / 'pkg' / name}: {named}" for name in ("values.yaml", "linked.yaml")}
    assert len(found.notes) == len(said) and set(found.notes) == said


def test_compile_and_build_leave_secrets_out_and_say_so_once(tmp_path: Path) -> None:
    flow = "\nfrom argosy import pipeline\n@pipeline()\ndef flow():\n    greet(who='a')\n    wave(who='b')\n"
    wave = step().replace("greet", "wave").replace("3.11", "3.12")
    write(tmp_path, {**SECRETS, "pkg/steps.py": step() + wave + flow})
    command = [sys.executable, "-m", "argosy"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ARGOSY_")}
    for words in ("compile pkg/steps.py -o out", "build pkg/steps.py --dockerfile made"):
        done = subprocess.run(
            [*command, *words.split()], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("pkg/values.yaml: the file that 'secrets' in argosy.yaml names") == 1
        assert done.stderr.count("pkg/tls.pem: a private key does not travel") == 1
    code = yaml.safe_load((tmp_path / "out" / "flow.code.yaml").read_text())["binaryData"]["code.zip"]
    packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(code))).namelist()
    made = [str(p.relative_to(tmp_path)) for p in (tmp_path / "made").rglob("*")]
    for name in ("values.yaml", "tls.pem", "tls.key", "account.json"):
        assert not [p for p in (*packed, *made) if p.endswith(name)]
    assert "pkg/authority.pem" in packed and sum(p.endswith("authority.pem") for p in made) == 2


def test_a_link_out_of_the_package_stays_here(tmp_path: Path) -> None:
    write(tmp_path, {"secret": "s", "pkg/__init__.py": "", "pkg/steps.py": step()})
    (tmp_path / "pkg" / "linked").symlink_to(tmp_path / "secret")
    attached = bundled(tmp_path, "pkg.steps")
    assert "pkg/linked" not in names(attached)
    assert any("a link out of its package" in note for note in attached.notes)


@pytest.mark.parametrize("name", ["token.py", "token/__init__.py"])
def test_a_module_named_as_one_of_pythons_own_is_refused_where_it_is_imported(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, {"steps.py": step("import json"), name: "X = 1"})
    assert names(bundled(tmp_path)) == ["steps.py"]
    write(tmp_path, {"steps.py": step("from token import X")})
    with pytest.raises(UsageError, match=rf"{name}: Python has a module 'token' itself, and .*/steps\.py"):
        bundled(tmp_path)


def test_same_code_same_name_and_bytes(tmp_path: Path) -> None:
    bundles: list[Bundle | None] = []
    for place in ("one", "two"):
        write(tmp_path / place, {"pkg/__init__.py": "", "pkg/steps.py": step(), "pkg/data": "x"})
        os.utime(tmp_path / place / "pkg" / "data", (1e9, len(bundles) * 1e8))
        bundles.append(bundled(tmp_path / place, "pkg.steps").bundle)
    assert bundles[0] == bundles[1]
    write(tmp_path / "two", {"pkg/data": "y"})
    other = bundled(tmp_path / "two", "pkg.steps").bundle
    assert other is not None and bundles[0] is not None and other.name != bundles[0].name


def test_a_step_runs_from_it_where_nothing_is_installed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "steps.py": step(
                "import couler.argo as couler\nfrom argosy.cluster import ArgosySubmitter\n"
                "import shop.words\n"
                "from importlib.resources import files",
                "return type('R', (), {'text': files('shop').joinpath('hi').read_text() + who})",
            ),
            "shop/__init__.py": "",
            "shop/words.py": "",
            "shop/hi": "hi ",
        },
    )
    done = run(bundled(tmp_path).bundle, tmp_path, "argosy.step", "steps:greet", "--who=Ada")
    assert (done.returncode, done.stdout) == (0, "text = 'hi Ada'\n"), done.stderr


def test_a_folder_without_init_is_a_package_there_too(tmp_path: Path) -> None:
    write(tmp_path, {"mine/steps/greeting.py": step("from mine.words import hi"), "mine/words.py": "hi = 1"})
    attached = bundled(tmp_path, "mine.steps.greeting")
    done = run(attached.bundle, tmp_path, "argosy.step", "mine.steps.greeting:greet", "--who=Ada")
    assert (done.returncode, done.stdout) == (0, "text = 'Ada'\n"), done.stderr


def test_a_program_that_composes_at_its_top_does_not_in_the_container(tmp_path: Path) -> None:
    top = "\nfirst = greet(who='x')\ncouler.when(couler.equal(first.text, 'x'), lambda: greet(who='y'))\n"
    write(tmp_path, {"steps.py": step("import couler.argo as couler") + top})
    done = run(bundled(tmp_path).bundle, tmp_path, "argosy.step", "steps:greet", "--who=Ada")
    assert (done.returncode, done.stdout) == (0, "text = 'Ada'\n"), done.stderr


def test_components_of_argosy_may_be_imported(tmp_path: Path) -> None:
    write(tmp_path, {"steps.py": step("from argosy.components.training import promote")})
    done = run(bundled(tmp_path).bundle, tmp_path, "argosy.step", "steps:greet", "--who=Ada")
    assert done.returncode == 0, done.stderr


def test_it_is_mounted_read_only_and_on_the_path(tmp_path: Path) -> None:
    write(tmp_path, {"steps.py": step()})
    env = [{"name": "A", "value": "1"}, {"name": "PYTHONPATH", "value": "/own"}]
    manifest = workflow(["python3", "-m", "argosy.step", "steps:greet"], env=env)
    attached = attach(manifest, Settings(), [str(tmp_path)])
    (template,) = attached.manifest["spec"]["templates"]
    assert attached.bundle is not None
    assert template["volumes"] == [{"name": "argosy-code", "configMap": {"name": attached.bundle.name}}]
    assert template["container"]["volumeMounts"] == [
        {"name": "argosy-code", "mountPath": "/argosy/code", "readOnly": True}
    ]
    assert template["container"]["env"][1] == {"name": "PYTHONPATH", "value": "/argosy/code/code.zip:/own"}
    assert env[1] == {"name": "PYTHONPATH", "value": "/own"}


def test_a_path_that_only_the_pod_knows_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"steps.py": step()})
    secret = {"name": "PYTHONPATH", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    manifest = workflow(["python", "-m", "argosy.step", "steps:greet"], env=[secret])
    with pytest.raises(ManifestError, match="template 'greet': its PYTHONPATH is known only in the pod"):
        attach(manifest, Settings(), [str(tmp_path)])


@pytest.mark.parametrize(
    "command",
    [["python", "-m", "argosy.components.training.promote"], ["python", "-c", "1"], ["echo"], []],
)
def test_other_steps_get_none(command: list[str]) -> None:
    manifest = workflow(command)
    assert attach(manifest, Settings()) == Attached(manifest)


def test_images_that_hold_the_code_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"steps.py": step()})
    assert bundled(tmp_path, settings=Settings(code_in_images=("python:3",))).bundle is None
    assert bundled(tmp_path, settings=Settings(code_in_images=("other/",))).bundle is not None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "argosy.images.yaml").write_text(
        "- {image: 'python:3.11-slim', replaces: [a], packages: [], steps: {}}\n"
    )
    assert bundled(tmp_path).bundle is None


def test_a_component_says_it_itself(tmp_path: Path) -> None:
    write(tmp_path, {"steps.py": step()})
    manifest = workflow(["python", "-m", "argosy.step", "steps:greet"])
    (template,) = manifest["spec"]["templates"]
    template["metadata"] = {"annotations": {"argosy.dev/code": "image"}}
    assert attach(manifest, Settings(), [str(tmp_path)]).bundle is None
    template["metadata"] = {"annotations": {"argosy.dev/code": "bundle"}}
    settings = Settings(code_in_images=("python:3",))
    assert attach(manifest, settings, [str(tmp_path)]).bundle is not None
    template["container"]["command"] = ["python", "-m", "nowhere"]
    with pytest.raises(UsageError, match="its code shall travel, and module 'nowhere' is nowhere here"):
        attach(manifest, Settings())


@pytest.mark.parametrize(
    ("module", "why"),
    [("nowhere.at.all", "is nowhere here"), ("pytest", "is installed here, and does not travel")],
)
def test_a_module_that_neither_has_is_told(module: str, why: str) -> None:
    attached = attach(workflow(["python", "-m", module]), Settings())
    assert attached.bundle is None
    assert attached.notes[0].startswith(f"template 'greet': module '{module}' {why}")


def test_the_standard_library_is_in_every_image() -> None:
    assert attach(workflow(["python", "-m", "http.server"]), Settings()).notes == ()


def test_too_much_is_one_line_with_the_largest_files(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/__init__.py": "", "pkg/steps.py": step(), "pkg/small": "x"})
    (tmp_path / "pkg" / "weights.bin").write_bytes(os.urandom(2 * 2**20))
    with pytest.raises(UsageError) as error:
        bundled(tmp_path, "pkg.steps")
    assert str(error.value).startswith(
        "hello: its code has 2.1 MiB, and a ConfigMap takes 1 MiB; the largest: pkg/weights.bin 2.0 MiB, "
    )
    assert "argosy build" in str(error.value) and "\n" not in str(error.value)
    with (tmp_path / "pkg" / "huge").open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(UsageError, match=r"the largest: pkg/huge 10240\.0 MiB"):
        bundled(tmp_path, "pkg.steps")


def test_a_file_beside_a_module_of_a_zip_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"steps.py": step(body="return open(__file__)")})
    (note,) = bundled(tmp_path).notes
    assert note.startswith(f"{tmp_path}/steps.py:9: __file__ lies inside of the bundle's zip")


def test_what_cannot_travel_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"steps.py": step("import fast")})
    suffix = next(s for s in __import__("importlib.machinery", fromlist=["x"]).EXTENSION_SUFFIXES)
    (tmp_path / f"fast{suffix}").touch()
    with pytest.raises(UsageError, match="a compiled module cannot travel in a bundle"):
        bundled(tmp_path)
    write(tmp_path, {"steps.py": "import ("})
    with pytest.raises(UsageError, match=r"steps\.py:1: "):
        bundled(tmp_path)
