"""`crqat demo`: a local page with image, prompts and threshold, and two models side by side."""

from __future__ import annotations

from pathlib import Path

import click

from crqat_pipeline.runtime.command_line import refused

LOOPBACK = "127.0.0.1"


@click.command("demo")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("second_model", required=False, type=click.Path(path_type=Path))
@click.option(
    "--vocabulary-folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/05_model_input"),
    show_default=True,
    help="Where named vocabularies are: words that the page knows beside the model's own.",
)
@click.option(
    "--text-encoder", default=None, help="Name of a text encoder (open_clip, …), or JSON with its name and options."
)
@click.option(
    "--image-size", type=click.IntRange(1), default=None, help="Side of the input in pixels [default: the model's]."
)
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0: any free one.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Another address lets other machines see the page.")
@click.option(
    "--open-browser/--no-open-browser", default=True, show_default=True, help="Open the page in the browser at once."
)
def command(
    model: Path,
    second_model: Path | None,
    vocabulary_folder: Path,
    text_encoder: str | None,
    image_size: int | None,
    port: int,
    host: str,
    open_browser: bool,
) -> None:
    """Open a page to try MODEL, next to SECOND_MODEL if there is one: any file that crqat detect takes."""
    from crqat_pipeline.cli.detect import load_predictor
    from crqat_pipeline.inference.page import build_page, serve

    if host != LOOPBACK:
        click.echo(f"Note: at {host} the page can be reached from other machines, without a password.", err=True)
    paths = [model] if second_model is None else [model, second_model]
    try:
        predictors = {
            f"{path.name} ({number})" if len(set(paths)) < len(paths) else path.name: load_predictor(
                path, vocabulary_folder, text_encoder, image_size
            )
            for number, path in enumerate(paths, start=1)
        }
        page = build_page(predictors)
        serve(page, host=host, port=port, open_browser=open_browser)
    except (ValueError, OSError) as error:
        raise refused(error) from error
