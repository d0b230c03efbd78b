"""Real processes for tests of training: forks of one that has imported what they need.

    python processes.py MODULE ARGUMENT    # as torchrun --nproc-per-node 2 -m MODULE ARGUMENT

Several meet over a file and talk over loopback alone, where torchrun's listen on all addresses.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

for needed in ("deepspeed", "deepspeed.runtime.zero.muon.muon_optimizer", "safetensors.torch",
               "transformers.models.llama", "transformers.optimization"):  # fmt: skip
    importlib.import_module(needed)
gc.freeze()  # else the first collection of each fork copies all that was imported


def fork(run: Callable[[], None], processes: int = 1) -> list[int]:
    """Run in so many processes at once; their exit codes."""
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for rank in range(processes):
            child = os.fork()
            if child == 0:
                _one(run, Path(folder) / "meeting", rank, processes)
            children.append(child)
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _one(run: Callable[[], None], meeting: Path, rank: int, processes: int) -> None:
    import torch

    code = 1
    try:
        torch.set_num_threads(1)
        if processes > 1:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes),
                              GLOO_SOCKET_IFNAME="lo")  # fmt: skip
            torch.distributed.init_process_group(
                "gloo", store=torch.distributed.FileStore(str(meeting), processes), rank=rank,
                world_size=processes,
            )  # fmt: skip
        run()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    ended = fork(importlib.import_module(sys.argv[1]).main, 2)
    sys.exit(max(map(abs, ended)))
