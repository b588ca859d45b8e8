from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path

import pytest

from xbarsim.errors import InputError, XbarsimError
from xbarsim.registry import Registered

GROUP = "xbarsim.test_methods"


def family() -> type[Registered]:
    class Method(Registered, group=GROUP):
        pass

    class Xbm(Method, name="xbm"):
        pass

    class Piggyback(Method, name="piggyback"):
        pass

    return Method


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a distribution ``acme`` that offers members under entry points; returns the installer."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(points: str, module: str = "") -> None:
        info = tmp_path / "acme-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")
        (tmp_path / "acme_methods.py").write_text(module)
        importlib.invalidate_caches()

    yield install
    sys.modules.pop("acme_methods", None)


def test_the_class_statement_registers() -> None:
    methods = family()
    assert methods.known() == ["piggyback", "xbm"]
    assert methods.named("xbm").name == "xbm"
    assert issubclass(methods.named("xbm"), methods)


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError) as caught:
        family().named("xmb")
    assert str(caught.value) == "no method 'xmb'; known: piggyback, xbm; did you mean 'xbm'?"


def test_an_empty_family_says_so() -> None:
    class Lonely(Registered):
        pass

    with pytest.raises(InputError, match="no lonely 'x'; known: none$"):
        Lonely.named("x")


def test_families_do_not_share_names() -> None:
    first, second = family(), family()
    assert first.named("xbm") is not second.named("xbm")


def test_two_classes_of_one_name_are_refused() -> None:
    methods = family()
    with pytest.raises(XbarsimError) as caught:
        type("Other", (methods,), {"__module__": "acme"}, name="xbm")
    text = str(caught.value)
    assert text.startswith("two method classes are named 'xbm': ")
    assert "test_registry.family.<locals>.Xbm and acme.Other; rename one" in text


def test_a_module_may_be_reloaded() -> None:
    methods = family()
    again = type("Xbm", (methods,), {"__module__": __name__, "__qualname__": "family.<locals>.Xbm"}, name="xbm")
    assert methods.named("xbm") is again


def test_a_helper_in_between_has_no_name() -> None:
    methods = family()
    helper = type("Masked", (methods,), {})
    member = type("Xst", (helper,), {}, name="xst")
    assert helper.name == ""
    assert methods.named("xst") is member
    assert "" not in methods.known()


def test_another_package_joins_by_entry_point(offer) -> None:
    offer(
        "mine = acme_methods:Mine",
        "import builtins\nclass Mine(builtins.method_family, name='mine'):\n    pass\n",
    )
    methods = family()
    assert methods.known() == ["mine", "piggyback", "xbm"]
    assert "acme_methods" not in sys.modules, "listing names imports nothing"
    builtins.method_family = methods  # type: ignore[attr-defined]
    try:
        assert methods.named("mine").__module__ == "acme_methods"
    finally:
        del builtins.method_family  # type: ignore[attr-defined]


def test_a_broken_offer_harms_nobody_until_it_is_asked_for(offer) -> None:
    offer("mine = acme_methods:Mine", "raise RuntimeError('half installed')\n")
    methods = family()
    assert methods.named("xbm").name == "xbm"
    with pytest.raises(InputError, match="did you mean 'mine'"):
        methods.named("mina")
    with pytest.raises(XbarsimError) as caught:
        methods.named("mine")
    assert str(caught.value) == (
        "method 'mine', offered by acme as acme_methods:Mine, cannot be imported: RuntimeError: half installed"
    )


@pytest.mark.parametrize("module", ["", "Mine = 3\n", "class Mine:\n    name = 'mine'\n"])
def test_an_offer_must_be_a_member(offer, module: str) -> None:
    offer("mine = acme_methods:Mine", module)
    with pytest.raises(XbarsimError, match="offered by acme as acme_methods:Mine, "):
        family().named("mine")
