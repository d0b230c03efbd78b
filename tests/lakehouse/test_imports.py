"""No garbage is looked for while a large library is imported, and nothing of ours stays with it."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from lakehouse import imports
from lakehouse.imports import importing, still_frozen


def test_nothing_is_collected_meanwhile_and_then_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[bool] = []
    monkeypatch.setattr(imports, "_FREEZE", lambda: frozen.append(gc.isenabled()))
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


def test_who_freezes_or_thaws_for_others_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[str] = []
    before = gc.freeze, gc.unfreeze
    monkeypatch.setattr(imports, "_FREEZE", lambda: frozen.append("ours"))
    with pytest.raises(ImportError), still_frozen():
        gc.freeze()
        gc.unfreeze()
        assert frozen == []
        with importing("no_such_library"):
            raise ImportError
    assert frozen == ["ours"]
    monkeypatch.undo()
    with still_frozen():
        pass
    assert (gc.freeze, gc.unfreeze) == before


def test_an_error_that_a_library_keeps_keeps_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keeps_its_error.py").write_text("""
try:
    import no_such_library
except ImportError as error:
    kept = error
""")
    monkeypatch.syspath_prepend(tmp_path)

    class Engine:
        """What the importing frame has."""

    def start() -> weakref.ref[Engine]:
        engine = Engine()
        imports.load("keeps_its_error")
        return weakref.ref(engine)

    assert start()() is None
    assert sys.modules.pop("keeps_its_error").kept.__traceback__ is not None


def test_a_library_is_done_without_only_while_another_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "optional_part.py").touch()
    for name in ("before", "after"):
        (tmp_path / f"does_without_{name}.py").write_text("""
try:
    import optional_part
except ImportError:
    optional_part = None
""")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        imports.load("does_without_before", without="optional_part")
        assert sys.modules["does_without_before"].optional_part is None
        found = importlib.import_module("optional_part")
        imports.load("does_without_after", without="optional_part")  # it is there: nothing is won
        assert sys.modules["does_without_after"].optional_part is found
        assert sys.modules["optional_part"] is found
    finally:
        for name in ("optional_part", "does_without_before", "does_without_after"):
            sys.modules.pop(name, None)


def test_arrow_does_without_pandas_and_pandas_is_there_for_others() -> None:
    code = """
import sys
from lakehouse.imports import arrow_alone
arrow_alone()
import pyarrow
pyarrow.array([1, 2])
pyarrow.Table.from_pylist([{"a": 1}]).to_pylist()
assert "pandas" not in sys.modules
import pandas
assert pandas.DataFrame({"a": [1, 2]})["a"].sum() == 3
"""
    subprocess.run([sys.executable, "-c", code], check=True)
