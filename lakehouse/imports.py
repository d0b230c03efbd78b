"""Large libraries, imported without a search for garbage.

vLLM, transformers, DeepSpeed and Great Expectations make millions of objects as they are imported,
and all of them stay. Python's collector goes through them again and again meanwhile, which was a
third of the time, and then whenever it looks at all that there is.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing(library: str) -> Iterator[None]:
    """Import a library within; what there is by then is never looked through again.

    Nothing is done where it is imported already: what has been made since may become garbage.
    """
    if library in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
