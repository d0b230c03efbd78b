"""Large libraries, imported without a search for garbage, and left out of it for good.

What vLLM, transformers, DeepSpeed and Great Expectations make as they are imported (vLLM alone a
million objects) stays. Python's collector goes through it again and again meanwhile, a fifth to a
third of the time, and then whenever it looks at all that there is.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.abc import MetaPathFinder

_FREEZE, _UNFREEZE = gc.freeze, gc.unfreeze


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage within; what there is by then is never looked through again."""
    gc.disable()
    try:
        yield
    finally:
        _FREEZE()
        gc.enable()


@contextmanager
def still_frozen() -> Iterator[None]:
    """Within, nobody else freezes or thaws: what `uncollected` froze stays so, and is all that is.

    vLLM freezes an engine as it starts, so that no collection ends it, and thaws everything when
    one ends: the objects of its import are then gone through five times until the next has started.
    """
    vars(gc).update(freeze=_nothing, unfreeze=_nothing)
    try:
        yield
    finally:
        vars(gc).update(freeze=_FREEZE, unfreeze=_UNFREEZE)


def seldom() -> None:
    """For a process that is one command: garbage is looked for a seventieth as often.

    What it imports and reads stays until its end; to look through that again took up to a tenth.
    """
    gc.set_threshold(50_000, 20, 100)


def importing(library: str) -> AbstractContextManager[None]:
    """Import a library within, uncollected.

    Nothing is done where it is imported already: what has been made since may become garbage.
    """
    known = library in sys.modules or not gc.isenabled()
    return nullcontext() if known else uncollected()


def load(module: str, without: str = "") -> None:
    """Import a module on a stack of its own, uncollected; as if there were no library `without`.

    Libraries keep the errors of imports that failed, and an error keeps all the frames beneath it,
    and these what is in them: an engine whose maker imported vLLM would never end.
    """
    absent = _lacking(without) if without else nullcontext()
    with importing(module), absent, ThreadPoolExecutor(1) as thread:
        thread.submit(import_module, module).result()


def arrow_alone() -> None:
    """Have pyarrow do without pandas, which it would import with the first list that it is given.

    That was a third of a short command. For processes that are ours alone and have no use of
    pandas' objects: pyarrow takes a Series for any sequence then, NaN for a number and no null.
    """
    with _lacking("pandas"):
        import_module("pyarrow").array([None])


@contextmanager
def _lacking(library: str) -> Iterator[None]:
    """Within, no thread finds a library, unless it has been imported before."""
    finder = _Nowhere(library)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Nowhere(MetaPathFinder):
    """Finds one library, and says that it is not there."""

    def __init__(self, library: str) -> None:
        self.library = library

    def find_spec(self, name: str, *_where: object) -> None:
        """As the import system asks, of what has not been imported yet."""
        if name == self.library:
            raise ModuleNotFoundError(f"{name} is done without", name=name)


def _nothing() -> None:
    """In the place of what is not to be done."""
