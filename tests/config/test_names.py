from __future__ import annotations

from pathlib import Path

import pytest

from xbarsim.config import find, folder, known, names
from xbarsim.errors import InputError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder in an otherwise empty checkout, as the code under test sees it."""
    package = tmp_path / "checkout" / "xbarsim"
    for kind in ("../arch_configs", "../workloads", "data/devices"):
        (package / kind).resolve().mkdir(parents=True)
    for file in (
        "arch_configs/isaac.yaml",
        "arch_configs/xbm_72.yaml",
        "workloads/vgg.yaml",
        "arch_configs/notes.md",
    ):
        (package.parent / file).write_text("schema: 1\n")
    (package.parent / "workloads" / "digits.xmn").mkdir()
    (package / "data" / "devices" / "hfox.yaml").write_text("schema: 1\n")
    monkeypatch.setattr(names, "_PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    return package.parent


def test_the_names_of_a_kind(home: Path) -> None:
    assert known("arch_configs") == ["isaac", "xbm_72"]
    assert known("workloads") == ["digits", "vgg"]
    assert known("devices") == ["hfox"]


def test_a_name_with_and_without_its_ending(home: Path) -> None:
    assert find("arch_configs", "isaac") == home / "arch_configs" / "isaac.yaml"
    assert find("arch_configs", "isaac.yaml") == home / "arch_configs" / "isaac.yaml"
    assert find("workloads", "digits") == home / "workloads" / "digits.xmn"
    assert find("workloads", "digits.xmn") == home / "workloads" / "digits.xmn"
    assert find("devices", "hfox") == home / "xbarsim" / "data" / "devices" / "hfox.yaml"


def test_a_path_that_exists_is_used_as_it_is(home: Path) -> None:
    Path("mine.yml").write_text("schema: 1\n")
    Path("isaac.yaml").write_text("schema: 1\n")
    Path("own.xmn").mkdir()
    Path("vgg").mkdir()
    assert find("arch_configs", "mine.yml") == Path("mine.yml")
    assert find("arch_configs", "isaac.yaml") == Path("isaac.yaml")
    assert find("workloads", "own.xmn") == Path("own.xmn")
    assert find("workloads", "vgg") == home / "workloads" / "vgg.yaml", "a folder that is no bundle is none"


def test_an_unknown_name(home: Path) -> None:
    with pytest.raises(InputError) as caught:
        find("arch_configs", "issac")
    assert str(caught.value) == "no chip 'issac'; known: isaac, xbm_72; did you mean 'isaac'?"
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match="no workload 'resnet'; known: digits, vgg$"):
        find("workloads", "resnet")
    with pytest.raises(InputError, match="no chip ''"):
        find("arch_configs", "")


def test_an_installed_wheel_brings_its_own(home: Path) -> None:
    share = home / "xbarsim" / "_share" / "arch_configs"
    share.mkdir(parents=True)
    (share / "shipped.yaml").write_text("schema: 1\n")
    assert folder("arch_configs") == share
    assert known("arch_configs") == ["shipped"]


def test_nothing_there(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(names, "_PACKAGE", tmp_path / "nowhere" / "xbarsim")
    assert known("arch_configs") == []
    with pytest.raises(InputError, match=r"no chip 'isaac'; .*arch_configs has none$"):
        find("arch_configs", "isaac")


def test_kinds_are_few(home: Path) -> None:
    with pytest.raises(ValueError, match="no kind 'chips'; known: arch_configs, workloads, devices"):
        find("chips", "isaac")


def test_the_real_ones_can_be_found() -> None:
    for kind in ("arch_configs", "workloads", "devices"):
        assert all(find(kind, name).exists() for name in known(kind))
    assert "isaac" in known("arch_configs")


def test_a_path_that_does_not_exist_is_called_one() -> None:
    with pytest.raises(InputError, match="there is no file 'nowhere/isaac.yaml', and no chip"):
        find("arch_configs", "nowhere/isaac.yaml")
