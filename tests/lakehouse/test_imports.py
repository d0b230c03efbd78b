"""No garbage is looked for while a large library is imported."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from lakehouse.imports import importing


def test_nothing_is_collected_meanwhile_and_then_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc.isenabled()))
    with pytest.raises(ImportError), importing("no_such_library"):
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    assert frozen == [False]
    with importing("sys"):  # it is there: what has been made since may become garbage
        assert gc.isenabled()
    assert frozen == [False]


def test_what_was_imported_is_not_looked_through_again() -> None:
    code = """
import gc
from lakehouse.imports import importing
with importing("pyarrow.dataset"):
    import pyarrow.dataset
    with importing("numpy.testing"):  # one within another
        import numpy.testing
assert gc.get_freeze_count() > 10_000 > len(gc.get_objects()), gc.get_freeze_count()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
