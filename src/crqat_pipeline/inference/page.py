"""A web page to try models: image, prompts, threshold; the models' answers side by side."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from PIL import Image

from crqat_pipeline.inference.drawing import draw_detections
from crqat_pipeline.inference.image_source import ImageError, open_image
from crqat_pipeline.inference.predictor import Predictor
from crqat_pipeline.inference.prompt_resolver import split_prompts

SHOWN_PROMPTS = 6
MAX_UPLOAD = "25mb"
MAX_PIXELS = 50_000_000
"""Of an uploaded image: what decoding and drawing it may take is bounded, one request at a time."""
MAX_WAITING = 20
"""Requests in the queue; one more is told to come again."""
SWEEP_S, KEPT_S = 600, 1800
"""Uploads and answers are looked through every 10 minutes; those of half an hour ago are removed."""
FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
COLUMNS = ("prompt", "score", "left", "top", "right", "bottom")


def answer(
    predictor: Predictor, image: Image.Image, prompts: str, threshold: float, max_detections: int
) -> tuple[Image.Image, str, list[list[Any]]]:
    """The drawn picture, a line about it, and a row per detection. An empty text asks for the model's own prompts.

    Raises ValueError for prompts that cannot be asked.
    """
    upright = open_image(image)
    chosen = split_prompts(prompts) if prompts.strip() else None
    bank = predictor.text_bank(chosen)
    start = time.perf_counter()
    found = predictor.predict([upright], bank, None, threshold, max_detections)[0]
    milliseconds = 1000 * (time.perf_counter() - start)
    rows = [
        [bank.prompts[label], round(score, 3), *(round(side, 1) for side in box)]
        for box, score, label in zip(
            found.boxes_M4.tolist(), found.scores_M.tolist(), found.labels_M.tolist(), strict=True
        )
    ]
    line = f"{len(found)} found among {len(bank.prompts)} prompts in {milliseconds:.0f} ms ({predictor.facts.form})"
    picture = draw_detections(upright, found, bank.prompts)
    picture.info["answer"] = uuid4().hex  # Gradio writes equal pictures into one file, even while it is being read
    return picture, line, rows


def build_page(predictors: Mapping[str, Predictor]) -> Any:
    """A Gradio page. Raises ValueError if Gradio is not installed."""
    _use_private_folder()  # before Gradio looks where it is
    gradio = _gradio()
    models = list(predictors.values())

    def ask(path: str | None, prompts: str, threshold: float, max_detections: float) -> list[Any]:
        if path is None:
            raise gradio.Error("Choose an image first.", print_exception=False)
        results: list[Any] = []
        try:
            image = _uploaded(path)
            for predictor in models:
                results.extend(answer(predictor, image, prompts, threshold, int(max_detections)))
        except (ValueError, MemoryError) as error:
            raise gradio.Error(str(error), duration=None, print_exception=False) from error
        return results

    with gradio.Blocks(title="crqat demo", analytics_enabled=False, delete_cache=(SWEEP_S, KEPT_S)) as page:
        gradio.Markdown("## Find by description")
        with gradio.Row():
            # The file itself: what Gradio decodes on its own is not bounded.
            image = gradio.Image(type="filepath", image_mode=None, label="Image", height=320)
            with gradio.Column():
                prompts = gradio.Textbox(
                    label="Prompts, separated by commas",
                    placeholder=_suggestion(models[0]),
                    elem_id="prompts",
                )
                threshold = gradio.Slider(0.01, 0.95, value=0.3, step=0.01, label="Score threshold")
                limit = gradio.Slider(1, 300, value=100, step=1, label="Detections at most")
                button = gradio.Button("Detect", variant="primary", elem_id="detect")
        outputs = []
        with gradio.Row():
            for name in predictors:
                with gradio.Column():
                    gradio.Markdown(f"### {name}")
                    buttons = ["download", "fullscreen"]
                    outputs.append(gradio.Image(show_label=False, format="png", buttons=buttons, interactive=False))
                    outputs.append(gradio.Markdown(elem_classes="summary"))
                    outputs.append(gradio.Dataframe(headers=list(COLUMNS), label="Detections", interactive=False))
        asked = [image, prompts, threshold, limit]
        button.click(ask, asked, outputs, api_name="detect")
        prompts.submit(ask, asked, outputs, api_name=False)
    return page


def serve(page: Any, *, host: str, port: int, open_browser: bool, keeps_running: bool = True) -> str:
    """Start the page and return its address; blocks unless keeps_running is False.

    Nothing leaves the machine: no tunnel, no fonts from elsewhere, no statistics. Uploads (at most 25 MB) and answers
    lie in a folder that only this user can read, for half an hour or until the page ends. One request is worked on at
    a time, 20 wait.
    """
    gradio = _gradio()
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=1)
    _, address, _ = page.launch(
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        server_name=host,
        server_port=port or None,
        share=False,
        inbrowser=open_browser,
        prevent_thread_lock=not keeps_running,
        footer_links=[],
        show_error=True,
        max_file_size=MAX_UPLOAD,
    )
    return str(address)


def _uploaded(path: str) -> Image.Image:
    """The image, upright. Raises ImageError (a ValueError) for one that is damaged or too large for the page."""
    try:
        with Image.open(path) as opened:
            width_px, height_px = opened.size
    except Exception:  # open_image says what is wrong
        return open_image(path)
    if width_px * height_px > MAX_PIXELS:
        raise ImageError(
            f"The page takes images of at most {MAX_PIXELS:,} pixels; got {width_px} × {height_px} px. Scale it down, "
            "or use crqat detect."
        )
    return open_image(path)


def _use_private_folder() -> None:
    """Gradio's files in a folder of this user alone, removed when the process ends, unless the user chose another."""
    if not os.environ.get(FOLDER_VARIABLE):
        os.environ[FOLDER_VARIABLE] = folder = tempfile.mkdtemp(prefix="crqat-demo-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _suggestion(predictor: Predictor) -> str:
    try:
        own = predictor.text_bank().prompts
    except ValueError:
        return "red lamp, stray cat"
    return f"empty: all {len(own)} of the model ({', '.join(own[:SHOWN_PROMPTS])}, …)"


def _gradio() -> Any:
    try:
        import gradio
    except ImportError as error:
        raise ValueError(
            "The demo page needs Gradio. Install the extra: pip install 'crqat-pipeline[demo]'."
        ) from error
    return gradio
