"""Versions of packages that break us, and platforms without a device, in one line."""

import operator
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from syntony.cli import main, versions
from syntony.cli.versions import check_versions, version_problems
from syntony.errors import InvalidInputError
from syntony.plugins import import_user_module

REQUIREMENTS = ["jax<0.13,>=0.10", "numpy<3,>=2.1", "rich<16,>=14", 'x; extra == "y"']


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of installed packages."""
    found = {"jax": "0.10.2", "numpy": "2.4.6", "rich": "14.0"}

    def version(name: str) -> str:
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda _: REQUIREMENTS)
    return found


def test_versions_that_fit(installed: dict[str, str]):
    check_versions()
    assert not [*version_problems()]
    installed["jax"] = "0.10"
    installed["numpy"] = "2.5.0rc1"
    assert not [*version_problems()]


@pytest.mark.parametrize(
    ("name", "version"),
    [("numpy", "1.26.4"), ("numpy", "2.0"), ("jax", "0.4.35"), ("jax", "0.9.2.dev3")],
)
def test_old_versions(
    name: str,
    version: str,
    installed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
):
    installed[name] = version
    assert main(["list", "systems"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"syntony: {name} {version} is installed; expected {name}<")
    assert error.count("\n") == 1


def test_missing_packages(installed: dict[str, str]):
    del installed["numpy"]
    with pytest.raises(InvalidInputError, match="numpy is not installed; to install"):
        check_versions()


def test_new_versions_are_named_only_where_something_breaks(
    installed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    installed["jax"] = "0.13.1"
    check_versions()

    # Called without its argument: an error with no line of a user's own code.
    broken = operator.attrgetter("no_such_name")
    monkeypatch.setattr("syntony.cli.list.List.execute", broken)
    assert main(["list", "systems"]) == 2
    assert "jax 0.13.1 is installed; expected jax<0.13" in capsys.readouterr().err
    installed["jax"] = "0.12.9"
    with pytest.raises(TypeError):
        main(["list", "systems"])


def test_without_an_installed_package(monkeypatch: pytest.MonkeyPatch):
    """E.g. a folder of the sources on Python's path."""
    monkeypatch.setattr(versions, "PACKAGE", "no-such-package-of-anyones")
    check_versions()


def test_an_old_gymnasium(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metadata, "version", lambda _: "0.28.1")
    with pytest.raises(InvalidInputError, match=r"gymnasium 0\.28\.1 is installed; ex"):
        import_user_module("gymnasium")


@pytest.mark.parametrize(
    "platform", ["cuda", pytest.param("nonsense", marks=pytest.mark.slow)]
)
def test_a_platform_without_a_device(platform: str, tmp_path: Path):
    """In a process of its own: JAX chooses its platform once."""
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has a GPU")
    process = subprocess.run(
        [sys.executable, "-m", "syntony", "train", "link", "--steps", "3"],
        env=os.environ | {"JAX_PLATFORMS": platform},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith(
        f"syntony: JAX finds no device for JAX_PLATFORMS={platform}; expected "
    )
    assert process.stderr.count("\n") == 1
    assert not [*tmp_path.iterdir()]
