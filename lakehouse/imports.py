"""Large libraries, imported without a search for garbage.

What vLLM, transformers, DeepSpeed and Great Expectations make as they are imported (vLLM alone a
million objects) stays. Python's collector goes through it again and again meanwhile, a fifth to a
third of the time, and then whenever it looks at all that there is.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage within; what there is by then is never looked through again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def importing(library: str) -> AbstractContextManager[None]:
    """Import a library within, uncollected.

    Nothing is done where it is imported already: what has been made since may become garbage.
    """
    known = library in sys.modules or not gc.isenabled()
    return nullcontext() if known else uncollected()
