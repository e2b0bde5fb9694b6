"""The published ncnn files as tensors under this package's keys.

Two things change on the way. The file's network wants BGR minus a mean, times a gain: the stem's input channels are
turned round, mean and gain are constants of the backbone. The last convolution of a level gives 80 class logits and
4 x 8 distance bins: classes become a region embedding (projection.py), bins stay.

Shape letters: K classes, D embedding, C channels, X bins of four sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor, nn

from crqat_nanodet.coco_names import COCO_NAMES
from crqat_nanodet.ncnn_file import NcnnConvolution, read_convolutions
from crqat_nanodet.network import NUM_BINS
from crqat_nanodet.projection import to_text_classifier
from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.structures.vocabulary import TextBank

GRAPH_SUFFIX, NUMBERS_SUFFIX = ".param", ".bin"


def class_embeddings(text_bank: TextBank | None, names: Sequence[str] = COCO_NAMES) -> Tensor:
    """(K, D): rows of the bank for these classes, in their order.

    Raises WeightsRefused for a bank without some of the names.
    """
    if text_bank is None:
        raise WeightsRefused(
            "A closed-vocabulary detector becomes an open one by the embeddings of its class names; none were given. "
            "Load it in a run whose prompts are those of COCO."
        )
    row_of = {prompt: row for row, prompt in reversed(list(enumerate(text_bank.prompts)))}
    missing = [name for name in names if name not in row_of]
    if missing:
        raise WeightsRefused(
            f"The prompts of the run must name the {len(names)} classes that this detector knows; "
            f"{len(missing)} are missing, such as {', '.join(map(repr, missing[:3]))}. Validate on COCO annotations "
            "with all categories."
        )
    return text_bank.embeddings_KD[[row_of[name] for name in names]]


def read_ncnn(param: Path, text_KD: Tensor, network: nn.Module, names: Sequence[str] = COCO_NAMES) -> dict[str, Tensor]:
    """The state of `network` (backbone, neck and head of NanoDet, on any device) from the file and its .bin.

    text_KD: embeddings of the classes `names`, which the text classifier is fitted on; the other classes are left out.
    Raises WeightsRefused for files of another network.
    """
    if param.suffix != GRAPH_SUFFIX:
        raise WeightsRefused(f"An ncnn network is named by its {GRAPH_SUFFIX} file; got {param.name}.")
    layers = iter(read_convolutions(param, param.with_suffix(NUMBERS_SUFFIX)))
    state: dict[str, Tensor] = {}
    for part in ("backbone", "neck"):
        _fill(part, network.get_submodule(part), layers, state)
    state["backbone.stem.conv.weight"] = state["backbone.stem.conv.weight"].flip(1)
    num_classes, columns = len(COCO_NAMES), [COCO_NAMES.index(name) for name in names]
    num_levels = len(list(network.get_submodule("head.levels").children()))
    for key in (f"head.levels.{level}" for level in range(num_levels)):
        _fill(f"{key}.tower", network.get_submodule(f"{key}.tower"), layers, state)
        last = _next(layers)
        if len(last.bias) != num_classes + 4 * NUM_BINS:
            raise WeightsRefused(
                f"{last.name} has {len(last.bias)} outputs; NanoDet-m has {num_classes} classes and {4 * NUM_BINS} "
                "bins. Give the published 416 px model of size m."
            )
        weight_KC, bins_XC = last.weight[:, :, 0, 0].tensor_split([num_classes])
        bias_K, bins_X = last.bias.tensor_split([num_classes])
        classifier = to_text_classifier(weight_KC[columns], bias_K[columns], text_KD)
        state |= {
            f"{key}.embedding.weight": classifier.weight_DC[:, :, None, None],
            f"{key}.embedding.bias": classifier.bias_D,
            f"{key}.bias": classifier.offset,
            f"{key}.box.weight": bins_XC[:, :, None, None],
            f"{key}.box.bias": bins_X,
        }
    if next(layers, None) is not None:
        raise WeightsRefused(f"{param.name} has more convolutions than NanoDet-m. Give the 416 px model of size m.")
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _fill(prefix: str, module: nn.Module, layers: Iterator[NcnnConvolution], state: dict[str, Tensor]) -> None:
    """The module's convolutions, in their order, from the next layers."""
    for name, conv in module.named_modules(prefix=prefix):
        if not isinstance(conv, nn.Conv2d):
            continue
        layer = _next(layers)
        wanted = (tuple(conv.weight.shape), conv.stride[0], conv.padding[0], conv.groups)
        found = (tuple(layer.weight.shape), layer.stride, layer.padding, layer.groups)
        if wanted != found:
            raise WeightsRefused(
                f"{layer.name} of the file is {found} (weights, stride, padding, groups); {name} of NanoDet-m is "
                f"{wanted}. Give the published 416 px model of size m."
            )
        state[f"{name}.weight"], state[f"{name}.bias"] = layer.weight, layer.bias


def _next(layers: Iterator[NcnnConvolution]) -> NcnnConvolution:
    layer = next(layers, None)
    if layer is None:
        raise WeightsRefused("The file has fewer convolutions than NanoDet-m. Give the 416 px model of size m.")
    return layer
