"""Time of one picture in a browser: the int8 form against full precision, in the same headless Chromium.

    python -m benchmarks.web_speed                                   # YOLO-World-S, 320 px, 80 prompts, one thread
    python -m benchmarks.web_speed --image-size 640 --threads 2 --runtime FOLDER

Weights are random, which changes no time; quantizers are calibrated on noise. The pages are those of `crqat export
--form web`, opened in turn, round after round, so that other work on the machine falls on both. time: the model alone,
median and fastest of all calls but the first of each round, in the browser's own clock.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.export_speed import write_models
from benchmarks.speed_setting import setting, speed_parser

from tests.support.chromium import EXECUTABLE, Browser
from tests.support.static_site import static_site

FORMS = ("fp32", "fast")


def write_pages(folder: Path, arguments: argparse.Namespace) -> None:
    import onnx
    import torch

    from crqat_pipeline.export.web import find_runtime, write_web_folder
    from crqat_pipeline.model_files.onnx_facts import METADATA_KEY, parse_onnx_facts
    from crqat_pipeline.structures.vocabulary import TextBank

    write_models(folder, arguments.detector, arguments.version, arguments.image_size, arguments.prompts)
    runtime = find_runtime(arguments.runtime)
    for form in FORMS:
        path = folder / f"{form}_short.onnx"
        metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        facts = parse_onnx_facts(metadata[METADATA_KEY], path)
        names = tuple(f"prompt {number}" for number in range(arguments.prompts))
        bank = TextBank(names, torch.randn(arguments.prompts, facts.embedding_dim), "random", is_normalized=False)
        sides = (arguments.image_size, arguments.image_size)
        write_web_folder(folder / form, path, facts, bank, sides, runtime, score_threshold=0.9, has_webgpu=False)


def measure(browser: Browser, address: str, picture: Path, threads: int, runs: int) -> list[float]:
    """Milliseconds of each call but the first."""
    browser.call("Page.navigate", url=f"{address}?threads={threads}")
    browser.wait_for("['ready', 'error'].includes(document.body?.dataset.state) && !!self.crqat", 600)
    browser.upload("#picture", picture)
    browser.wait_for("document.getElementById('summary').textContent !== ''", 600)
    assert browser.evaluate("document.body.dataset.threads") == str(threads), "the page got other threads"
    times = []
    for _ in range(runs):
        times.extend(browser.evaluate("crqat.measure(1)"))
    return times


def main() -> None:
    parser = speed_parser(__doc__, image_size_px=320, rounds=3, runs=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runtime", type=Path, help="folder with the package of onnxruntime-web [default: npm]")
    arguments = parser.parse_args()
    if EXECUTABLE is None:
        raise SystemExit("This needs Chromium. Install it, or put it on the PATH.")
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pages(folder, arguments)
        noise = np.random.default_rng(0).integers(0, 255, (arguments.image_size, arguments.image_size, 3), np.uint8)
        Image.fromarray(noise).save(folder / "picture.png")
        times: dict[str, list[float]] = {form: [] for form in FORMS}
        browser = Browser(folder / "profile")
        try:
            for _ in range(arguments.rounds):
                for form in FORMS:
                    with static_site(folder / form) as address:
                        found = measure(browser, address, folder / "picture.png", arguments.threads, arguments.runs)
                        times[form].extend(found)
        finally:
            browser.close()
    medians = {form: statistics.median(found) for form, found in times.items()}
    print(f"{setting(arguments, arguments.threads)}, wasm")
    for form in FORMS:
        fastest = min(times[form])
        print(
            f"{form:<6} median {medians[form]:>8.1f} ms ({medians['fp32'] / medians[form]:.2f}x)   "
            f"fastest {fastest:>8.1f} ms ({min(times['fp32']) / fastest:.2f}x)"
        )


if __name__ == "__main__":
    main()
