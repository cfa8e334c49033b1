"""`import syntony` is quick, and holds what the guide promises."""

import subprocess
import sys

import pytest

import syntony


@pytest.mark.parametrize("name", [name for name in dir(syntony) if name[0] != "_"])
def test_every_public_name_is_there(name: str):
    assert getattr(syntony, name).__name__ == name


def test_the_version_is_the_packages():
    assert syntony.__version__.count(".") == 2


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'Smpee'"):
        syntony.Smpee  # noqa: B018


def test_importing_waits_for_nothing():
    code = "import sys, syntony; assert not {'jax', 'numpy', 'rich'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
