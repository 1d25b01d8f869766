"""Optional packages: found, missing, and what is said about them."""

import re

import pytest

from triggerforge import packages
from triggerforge.check import check
from triggerforge.errors import MissingToolError
from triggerforge.packages import OPTIONAL, find_packages, require_package


def test_an_installed_package_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIONAL, "numpy", "counts")
    package = find_packages()[-1]
    assert package.name == "numpy" and re.match(r"\d+\.\d+", package.version or "")
    assert require_package("numpy", "numpy.linalg").norm([3.0, 4.0]) == 5.0


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIONAL, "no-such-package", "does nothing")
    assert find_packages()[-1].version is None
    said = r"no-such-package cannot be imported \(.*\); pip install no-such-package .*does nothing"
    with pytest.raises(MissingToolError, match=said):
        require_package("no-such-package")


def test_an_unknown_package_names_the_nearest() -> None:
    with pytest.raises(MissingToolError, match="did you mean 'openvino'"):
        require_package("openvin")


def test_check_lists_every_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(packages, "OPTIONAL", {**OPTIONAL, "no-such-package": "does nothing"})
    check()
    printed = capsys.readouterr().out
    assert all(name in printed for name in OPTIONAL)
    (row,) = [line for line in printed.splitlines() if "no-such-package" in line]
    assert "missing" in row and "pip install" in row
