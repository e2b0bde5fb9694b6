"""From a file to a model in memory, by what the file says it is.

READERS: kind of file -> reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from crqat_pipeline.inference.litert_model import LitertModel
from crqat_pipeline.inference.ncnn_model import NcnnModel
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.inference.runnable import Runnable
from crqat_pipeline.inference.torch_model import checkpoint_model, packed_model
from crqat_pipeline.model_files.checkpoint_file import read_checkpoint
from crqat_pipeline.model_files.kind import CHECKPOINT, LITERT, NCNN, ONNX, PACKED, kind_of
from crqat_pipeline.model_files.opening import naming
from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.runtime.lookup import look_up

Reader = Callable[[Path, torch.device], Runnable]

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        CHECKPOINT: lambda path, device: checkpoint_model(read_checkpoint(path), device),
        PACKED: lambda path, device: packed_model(read_packed(path), device),
        ONNX: lambda path, device: OnnxModel(path),
        LITERT: lambda path, device: LitertModel(path),
        NCNN: lambda path, device: NcnnModel(path),
    }
)


def open_model(path: Path, device: torch.device | str = "cpu") -> Runnable:
    """The model of a file; ONNX, LiteRT and ncnn models run on the CPU whatever the device.

    Raises ValueError that says what the file is and what to do with it.
    """
    if not path.is_file():
        raise ValueError(f"No model file {path}. Check the path.")
    with naming(path):
        return look_up(READERS, kind_of(path), "kind of model file")(path, torch.device(device))
