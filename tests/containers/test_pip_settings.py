"""How the settings of pip reach an image build."""

from pathlib import Path

import pytest

from tests.containers.pip_settings import PipSettings, local_path, parse


def test_the_environment_wins_over_files() -> None:
    listing = ":env:.timeout='9'\nglobal.timeout='5'\n:env:.default-timeout='7'\ninstall.user='true'\n"
    assert parse(listing) == {"timeout": "7"}


def test_a_pip_conf_has_one_line_a_setting() -> None:
    settings = PipSettings({"find-links": "/a\n/b", "cert": "/c.crt"})
    assert settings.pip_conf() == "[global]\ncert = /c.crt\nfind-links = /a /b\n"


@pytest.mark.parametrize("place", ["https://index.example/simple", "wheels", "/no/such/place", "12"])
def test_what_is_not_on_this_machine_is_not_mounted(place: str) -> None:
    assert local_path(place) is None


def test_local_places_are_mounted_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "wheel house").mkdir()
    (tmp_path / "index" / "simple").mkdir(parents=True)
    url = (tmp_path / "wheel house").as_uri()
    settings = PipSettings({"find-links": url, "extra-index-url": f"{tmp_path}/index/simple https://x/y"})
    conf, *places = settings.mounts(tmp_path)
    assert conf == (tmp_path / "pip.conf", "/etc/pip.conf")
    assert places == [
        (tmp_path / "index", f"{tmp_path}/index"),
        (tmp_path / "wheel house", f"{tmp_path}/wheel house"),
    ]
