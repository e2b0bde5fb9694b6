"""YOLO-World-S on this machine: layouts and torch.compile, the text products, the loader. Ratios from one run.

    python benchmarks/detector_speed.py                  # all parts, a few minutes (compiling takes one of them)
    python benchmarks/detector_speed.py --parts products loader --threads 1

Weights and images are random, which changes no time. Variants of a part take turns, round by round, so that other work
on the machine falls on all of them; a row shows the median wall-clock and its ratio to the first row.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_writer import write_images
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec, draw_layout
from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.detection_data.training_loader import training_batches
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.yolo_world.max_product import max_product
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.text_encoders import build_text_encoder

Variants = dict[str, Callable[[], object]]


def compare(title: str, variants: Variants, rounds: int) -> None:
    """Print the median milliseconds of each variant and its ratio to the first."""
    for run in variants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            started = perf_counter()
            run()
            times[name].append(1000 * (perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in times.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, value in medians.items():
        print(f"  {name:<34} {value:9.1f} ms   {first / value:5.2f} x")


def contiguous(detector: OpenVocabularyDetector) -> OpenVocabularyDetector:
    """The same detector without its channels_last images."""
    detector.backbone.memory_format = torch.contiguous_format
    return detector


def network_inputs(image_size_px: int) -> tuple[Tensor, Tensor, tuple[ImageTargets, ...]]:
    """Two random images, 80 random texts, one object per image."""
    generator = torch.Generator().manual_seed(0)
    images_B3HW = torch.rand(2, 3, image_size_px, image_size_px, generator=generator)
    texts_KD = torch.nn.functional.normalize(torch.randn(80, 512, generator=generator), dim=-1)
    box_14 = torch.tensor([[20.0, 30.0, 150.0, 160.0]])
    targets = (ImageTargets(box_14, torch.tensor([3])), ImageTargets(box_14 + 40, torch.tensor([7])))
    return images_B3HW, texts_KD, targets


def network(rounds: int, image_size_px: int) -> None:
    images_B3HW, texts_KD, targets = network_inputs(image_size_px)
    torch.manual_seed(0)
    default, plain = build_detector("yolo_world_s"), contiguous(build_detector("yolo_world_s"))
    compiled = torch.compile(build_detector("yolo_world_s"))

    def forward(detector: Callable[..., object]) -> Callable[[], object]:
        def run() -> object:
            with torch.no_grad():
                return detector(images_B3HW, texts_KD)

        return run

    def step(detector: OpenVocabularyDetector, call: Callable[..., object]) -> Callable[[], object]:
        def run() -> object:
            output = call(images_B3HW, texts_KD)
            loss = torch.stack(list(detector.loss(output, targets).values())).sum()  # type: ignore[arg-type]
            loss.backward()
            return loss

        return run

    names = {"contiguous": plain, "channels_last images (default)": default, "torch.compile": compiled}
    title = f"yolo_world_s, {image_size_px} px, batch 2, 80 prompts"
    compare(f"forward, {title}", {name: forward(one.eval()) for name, one in names.items()}, rounds)
    steps = {name: step(default, one.train()) for name, one in names.items()}
    compare(f"forward + backward, {title}", steps, rounds)


def shares(image_size_px: int) -> None:
    """Where a training step spends its time, by operator."""
    detector = build_detector("yolo_world_s").train()
    images_B3HW, texts_KD, targets = network_inputs(image_size_px)

    def step() -> None:
        output = detector(images_B3HW, texts_KD)
        torch.stack(list(detector.loss(output, targets).values())).sum().backward()  # type: ignore[arg-type]

    step()
    with torch.profiler.profile() as profile:
        step()
    rows = sorted(profile.key_averages(), key=lambda row: row.self_cpu_time_total, reverse=True)
    total = sum(row.self_cpu_time_total for row in rows)
    print(f"\nshares of a step (forward + backward), yolo_world_s, {image_size_px} px")
    for row in rows[:10]:
        print(f"  {row.key:<44} {100 * row.self_cpu_time_total / total:5.1f} %")


def products(rounds: int) -> None:
    """The P3 gate of size S at 640 px with the LVIS vocabulary: 2 heads of 32 channels, 6400 cells, 1203 prompts."""
    generator = torch.Generator().manual_seed(0)
    map_BMCP = torch.randn(1, 2, 32, 6400, generator=generator)
    guide_XMKC = torch.randn(1, 2, 1203, 32, generator=generator)

    def run(chunk_elements: int | None) -> Callable[[], Tensor]:
        return lambda: max_product(map_BMCP, guide_XMKC, chunk_elements)

    variants = {"unchunked": run(2**40), "chunked (default)": run(None)}
    compare("max over 1203 prompts, P3 gate of S at 640 px, forward", dict(variants), rounds)


def loader(rounds: int) -> None:
    spec = OpenShapesSpec(num_train_images=64, num_val_images=1, num_tune_images=1, num_qat_images=1)
    layout = draw_layout(spec)
    rendered = layout.rendered("train")
    bank = build_text_encoder("composed", words=_words(layout.vocabulary.names)).encode(layout.vocabulary.names)
    with tempfile.TemporaryDirectory() as folder:
        write_images(folder, rendered.names, rendered.render, workers=1)
        split = prepare_split(layout.annotations["train"])
        images = ImageFolder(Path(folder))

        def epoch(workers: int) -> Callable[[], object]:
            options = LoaderSpec(image_size_px=128, batch_size=16, num_workers=workers)
            return lambda: list(training_batches(split, images, bank, layout.vocabulary, options, 0, 0, 24))

        variants = {f"{workers} workers": epoch(workers) for workers in (0, 2)}
        compare("loader: 384 images of 128 px in batches of 16", dict(variants), max(1, rounds // 2))


def _words(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for name in names for word in name.split()))


PARTS = {
    "network": lambda options: network(options.rounds, options.image_size),
    "shares": lambda options: shares(options.image_size),
    "products": lambda options: products(options.rounds),
    "loader": lambda options: loader(options.rounds),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--image-size", type=int, default=320)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for part in options.parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
