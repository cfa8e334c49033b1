"""`import syntony` is quick and has all public names."""

import subprocess
import sys

import pytest

import syntony


@pytest.mark.parametrize("name", [name for name in dir(syntony) if name[0] != "_"])
def test_every_public_name_exists(name: str):
    assert getattr(syntony, name).__name__ == name


def test_version():
    assert syntony.__version__.count(".") == 2


def test_other_names_raise():
    with pytest.raises(AttributeError, match="no attribute 'Smpee'"):
        syntony.Smpee  # noqa: B018


def test_import_is_lazy():
    code = "import sys, syntony; assert not {'jax', 'numpy', 'rich'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
