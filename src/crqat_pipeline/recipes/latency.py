"""How long a form takes for one image on one thread of this machine's CPU.

Processor time: on one thread it is what a clock would show on a quiet machine, and other programs do not change it.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import torch

from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.export.onnx.runtime import runtime_for
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.inference.runnable import Runnable
from crqat_pipeline.inference.torch_model import TorchModel
from crqat_pipeline.recipes.forms import Source, is_graph, load_form, written
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData

NUM_THREADS, WARM_UP_CALLS = 1, 3


def measure_latency(sources: Mapping[str, Source], data: TrainingData, spec: EvaluationSpec) -> dict[str, Any]:
    """latency_ms: form -> median of `spec.latency_calls` calls, from the input tensor of the first image to its
    detections; where: the conditions in words. A form whose file is empty is left out.
    """
    models: dict[str, Runnable] = {form: _model(form, source) for form, source in written(sources).items()}
    first = data.split.with_images(data.split.images[:1])
    (batch,) = evaluation_batches(first, data.images, LoaderSpec(image_size_px=spec.image_size_px, batch_size=1))
    calls = {
        form: partial(
            model.detect,
            batch.images_B3HW,
            data.text_bank.embeddings_KD,
            score_threshold=spec.gallery_threshold,
            max_detections=spec.max_detections,
        )
        for form, model in models.items()
    }
    with _threads(NUM_THREADS):
        medians = median_ms(calls, spec.latency_calls)
    runtimes = [f"PyTorch {torch.__version__.split('+')[0]}"]
    graphs = [model for form, model in models.items() if is_graph(sources[form])]
    for runtime in dict.fromkeys(runtime_for(model.facts.form.removeprefix("ONNX ")) for model in graphs):
        runtimes.append(f"ONNX in {runtime} {version(runtime)}")
    where = (
        f"median processor time of {spec.latency_calls} calls with one image of {spec.image_size_px} px and "
        f"{len(data.vocabulary)} prompts, from tensor to detections, {NUM_THREADS} thread of {cpu_name()}; "
        f"{', '.join(runtimes)}"
    )
    return {"latency_ms": medians, "where": where}


def _model(form: str, source: Source) -> Runnable:
    if isinstance(source, Path) and is_graph(source):
        return OnnxModel(source, num_threads=NUM_THREADS)
    return TorchModel(load_form(source), form)


def median_ms(
    calls: Mapping[str, Callable[[], object]], num_calls: int, clock_s: Callable[[], float] = process_time
) -> dict[str, float]:
    """Median time of each call in milliseconds; the calls take turns, so that a slow moment meets all of them."""
    times_ms: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(WARM_UP_CALLS + num_calls):
        for name, call in calls.items():
            start_s = clock_s()
            call()
            if turn >= WARM_UP_CALLS:
                times_ms[name].append(1000 * (clock_s() - start_s))
    return {name: statistics.median(values) for name, values in times_ms.items()}


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cpu_name(description: Path = Path("/proc/cpuinfo")) -> str:
    """The model of the processor as it names itself, or its architecture where it does not."""
    if description.exists():
        for line in description.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()
