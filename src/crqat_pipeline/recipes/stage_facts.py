"""The facts of a stage: digests of everything that it reads, and the values of its specs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from crqat_pipeline.detection_data.image_digest import image_digest
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.facts import DIGEST, content_digest
from crqat_pipeline.structures.vocabulary import TextBank


def data_facts(data: TrainingData, name: str = "") -> dict[str, str]:
    """Of boxes and categories, pixels, vocabulary and text bank. name: goes before each. Raises ImageFileError.

    How photographs are turned is a fact of its own, and only where it is not the default.
    """
    orientation = data.images.exif_orientation
    return {
        f"{name}split": content_digest(repr(data.split)),
        f"{name}images": f"{DIGEST}{image_digest(data.images, data.split.images.file_names)}",
        **({} if orientation == "apply" else {f"{name}images.exif_orientation": orientation}),
        f"{name}vocabulary": content_digest(repr(data.vocabulary)),
        f"{name}text_bank": _bank_digest(data.text_bank),
    }


def _bank_digest(bank: TextBank) -> str:
    rows = bank.embeddings_KD.detach().cpu().contiguous()
    facts = (bank.encoder, str(bank.is_normalized), str(tuple(rows.shape)))
    return content_digest(*facts, rows.numpy().tobytes(), *bank.prompts)


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Of the names, shapes and bytes of a state dict."""
    pieces = (
        piece
        for name, value in sorted(tensors.items())
        for piece in (name, str(tuple(value.shape)), value.detach().cpu().contiguous().numpy().tobytes())
    )
    return content_digest(*pieces)


def machine_facts(device: torch.device) -> dict[str, str]:
    """What the last bits of a training depend on beside its inputs: on a CPU the number of threads, too."""
    threads = {"threads": str(torch.get_num_threads())} if device.type == "cpu" else {}
    return {"device": device.type, **threads}
