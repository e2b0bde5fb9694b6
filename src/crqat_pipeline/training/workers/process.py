"""One worker of torchrun: `python -m crqat_pipeline.training.workers.process <launch as JSON>`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.ranks import together
from crqat_pipeline.training.workers.heartbeat import Watch, watching
from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.spec import WorkersSpec

RUN_IS_OVER = 3


def main() -> None:
    launch = read_launch(json.loads(sys.argv[1]))
    with watching(Watch(launch.folder, launch.token, launch.workers.silence_s), _end_with_launcher):
        is_gpu = choose_device(launch.device).type == "cuda"
        if is_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.set_num_threads(launch.workers.threads)
        if not launch.is_group:
            launch.call_entry()
            return
        distributed.init_process_group("nccl" if is_gpu else "gloo")
        distributed.barrier()  # a worker that refuses at once would be gone before the others have found it
        with together():
            launch.call_entry()
        distributed.destroy_process_group()


def read_launch(facts: Mapping[str, Any]) -> Launch:
    """What `torchrun.described` made."""
    return Launch(**{**facts, "folder": Path(facts["folder"]), "workers": WorkersSpec.model_validate(facts["workers"])})


def _end_with_launcher() -> None:
    """The launcher would only start this worker again."""
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(RUN_IS_OVER)


if __name__ == "__main__":
    main()
