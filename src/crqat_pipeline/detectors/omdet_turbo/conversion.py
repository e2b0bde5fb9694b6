"""`crqat weights` of an OmDet-Turbo that transformers saved, whatever its size."""

from __future__ import annotations

from pathlib import Path

import torch

from crqat_pipeline.detectors.family import Builder
from crqat_pipeline.detectors.omdet_turbo.file_sizes import CONFIG_NAME, sizes_of_file
from crqat_pipeline.detectors.omdet_turbo.loading import check_is_omdet, translate, weight_path
from crqat_pipeline.detectors.omdet_turbo.sizes import RELEASED, spec_of
from crqat_pipeline.detectors.weights import read_weights
from crqat_pipeline.detectors.weights.understood import UnderstoodFile, changed


def describe(source: str | Path, build: Builder) -> UnderstoodFile:
    """A folder of save_pretrained, its .safetensors file, or hf://owner/repository[/file]. build: the row's builder.

    Raises WeightsRefused when it is no whole OmDet-Turbo of transformers, ValueError where transformers is missing.
    """
    path = weight_path(source)
    file = read_weights(path)
    check_is_omdet(path, file.tensors)
    options = changed(sizes_of_file(path, file.tensors), spec_of(RELEASED))
    with torch.device("meta"):
        expected = build(**options).state_dict()
    tensors, report = translate(path, file.tensors, expected)
    encoder = _encoder_source(str(source), path)
    text_encoder = None if encoder is None else {"name": "omdet_turbo", "source": encoder}
    return UnderstoodFile(report, file.container, RELEASED, options, tensors, text_encoder=text_encoder)


def _encoder_source(source: str, path: Path) -> str | None:
    """Where the text encoder of the same model is: the repository, or the folder if it has all that is needed."""
    if source.startswith("hf://"):
        return "/".join(source.partition("#")[0].removeprefix("hf://").split("/")[:2])
    return str(path.parent) if (path.parent / CONFIG_NAME).is_file() else None
