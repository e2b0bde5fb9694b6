"""Who embeds the class names: found on this machine, from the surest source to the farthest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crqat_pipeline.own_data.detector import ChosenDetector
from crqat_pipeline.recipes.embedding import TextSource, write_bank
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.clip_cache import local_clip_weights
from crqat_pipeline.text_encoders.table import OmDetTurboTextSpec, OpenClipSpec, PrecomputedSpec, TextEncoderSpec

BANK_NAME = "prompts_of_weights.safetensors"


@dataclass(frozen=True)
class FoundEncoder:
    """spec: as data_prep describes it. width: numbers of an embedding, None where only building it would tell.

    missing: what keeps it from working on this machine now; "" for nothing.
    """

    spec: TextEncoderSpec
    width: int | None
    note: str
    missing: str = ""


def find_encoder(
    names: tuple[str, ...], source: TextSource, detector: ChosenDetector, data_folder: Path
) -> FoundEncoder:
    """The encoder named; else CLIP in the cache, else the prompts of the weights, else CLIP, to be fetched.

    Prompts of the weights that serve are written into data_folder. Raises ValueError for embeddings at hand that lack
    a class name, with the nearest ones.
    """
    if source.is_named:
        spec = source.spec
        if isinstance(spec, PrecomputedSpec):
            width = spec.build().encode(names).embeddings_KD.shape[1]
            return FoundEncoder(_absolute(spec), width, f"names are looked up in {spec.embeddings}")
        return _clip(spec) if isinstance(spec, OpenClipSpec) else FoundEncoder(spec, None, f"text encoder {spec.name}")
    if detector.family == "omdet_turbo":
        return FoundEncoder(OmDetTurboTextSpec(), None, "the text encoder that was trained with OmDet-Turbo")  # type: ignore[call-arg]
    clip = _clip(OpenClipSpec())  # type: ignore[call-arg]
    if clip.missing and detector.bank is not None:
        found = _of_weights(names, detector.bank, data_folder / BANK_NAME)
        if found is not None:
            return found
    return clip


def _clip(spec: OpenClipSpec) -> FoundEncoder:
    path = local_clip_weights(spec.model_name, spec.pretrained)
    width = 512 if spec.model_name.startswith("ViT-B-32") else None
    if path is not None:
        return FoundEncoder(spec, width, f"CLIP {spec.model_name}, {path}")
    missing = (
        f"CLIP's weights ({spec.model_name}, {spec.pretrained}) are not on this machine. They are fetched at the first "
        "run; without a network: --text-encoder FILE, or --embeddings FILE (crqat embed)"
    )
    return FoundEncoder(spec, width, f"CLIP {spec.model_name}, not here yet", missing)


def _of_weights(names: tuple[str, ...], bank: TextBank, target: Path) -> FoundEncoder | None:
    write_bank(bank, target)
    spec = PrecomputedSpec(embeddings=target.absolute())  # type: ignore[call-arg]
    try:
        width = spec.build().encode(names).embeddings_KD.shape[1]
    except ValueError:
        target.unlink()
        return None
    return FoundEncoder(spec, width, f"names are among the {len(bank.prompts)} prompts that came with the weights")


def _absolute(spec: PrecomputedSpec) -> PrecomputedSpec:
    names = None if spec.names is None else spec.names.absolute()
    return spec.model_copy(update={"embeddings": spec.embeddings.absolute(), "names": names})
