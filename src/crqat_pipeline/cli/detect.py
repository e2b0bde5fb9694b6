"""`crqat detect`: find what prompts describe in images, folders and videos."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from PIL import Image

    from crqat_pipeline.inference import Predictor

VOCABULARY_FOLDER = Path("data/05_model_input")


@click.command("detect")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--prompts", default=None, help='What to look for, separated by commas: "red lamp,stray cat".')
@click.option("--vocabulary", default=None, help="Named vocabulary or text bank file [default: the model's own].")
@click.option(
    "--vocabulary-folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=VOCABULARY_FOLDER,
    show_default=True,
    help="Where named vocabularies are (lvis_text_bank.safetensors is 'lvis').",
)
@click.option("--text-encoder", default=None, help="Row of TEXT_ENCODERS, or JSON with its name and options.")
@click.option("--threshold", type=click.FloatRange(0, 1, max_open=True), default=0.3, show_default=True)
@click.option("--max-detections", type=click.IntRange(1), default=100, show_default=True, help="Per image.")
@click.option("--image-size", type=click.IntRange(1), default=None, help="Side of the input [default: the model's].")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda; ONNX models run on the CPU.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Of a video, every n-th frame.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for pictures and detections.json."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_context
def command(
    context: click.Context,
    model: Path,
    images: tuple[Path, ...],
    prompts: str | None,
    vocabulary: str | None,
    vocabulary_folder: Path,
    text_encoder: str | None,
    threshold: float,
    max_detections: int,
    image_size: int | None,
    device: str,
    every: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run MODEL (checkpoint, packed int4 or ONNX) on IMAGES: files, folders, videos.

    A broken image is reported and the others go on; the exit code is then 1.
    """
    from crqat_pipeline.inference.image_files import expand
    from crqat_pipeline.inference.prompt_resolver import split_prompts
    from crqat_pipeline.inference.video import is_video
    from crqat_pipeline.runtime.progress import progress

    if out is None and not as_json:
        raise click.UsageError("Say where results go: --out DIR for pictures, or --json for the terminal.")
    try:
        predictor = load_predictor(model, vocabulary_folder, text_encoder, image_size, device)
        chosen = None if prompts is None else split_prompts(prompts)
        bank = predictor.text_bank(chosen, vocabulary)
        files = list(expand(images))
    except ValueError as error:
        raise click.ClickException(str(error)) from error

    def predict(image: Image.Image) -> Any:
        return predictor.predict([image], chosen, vocabulary, threshold, max_detections)[0]

    records: list[dict[str, Any]] = []
    places = _Places(out)
    for file, name in progress(files, "detect", unit="file"):
        try:
            if is_video(file):
                records.extend(_video_records(file, every, predict, bank.prompts, places.of(name, ".mp4")))
            else:
                records.append(_image_record(file, predict, bank.prompts, places.of(name, None)))
        except (ValueError, MemoryError) as error:
            records.append({"image": str(file), "error": str(error)})
            click.echo(f"Skipped: {error}", err=True)
    _report(records, bank.prompts, model, out, as_json)
    if any("error" in record for record in records):
        context.exit(1)


def load_predictor(
    model: Path, vocabulary_folder: Path, text_encoder: str | None, image_size_px: int | None, device: str = "auto"
) -> Predictor:
    """A predictor over every kind of model file. Raises ValueError that says what the file is and what to do."""
    from crqat_pipeline.inference import Predictor
    from crqat_pipeline.model_files.text_bank_file import find_text_banks
    from crqat_pipeline.runtime.device import choose_device
    from crqat_pipeline.text_encoders import build_text_encoder

    encoder = None
    if text_encoder is not None:
        row = json.loads(text_encoder) if text_encoder.startswith("{") else {"name": text_encoder}
        encoder = build_text_encoder(row.pop("name"), **row)
    return Predictor.load(
        model,
        image_size_px=image_size_px,
        vocabularies=find_text_banks(vocabulary_folder),
        text_encoder=encoder,
        device=choose_device(device),
    )


class _Places:
    """A file for each result, none used twice."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._taken = folder, set[Path]()

    def of(self, name: Path, suffix: str | None) -> Path | None:
        if self._folder is None:
            return None
        kept = name.suffix.lower() if name.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") else ".png"
        place = self._folder / name.with_suffix(suffix or kept)
        number = 1
        while place in self._taken:
            number += 1
            place = self._folder / name.with_name(f"{name.stem}-{number}{suffix or kept}")
        self._taken.add(place)
        return place


def _image_record(
    file: Path, predict: Callable[[Image.Image], Any], prompts: tuple[str, ...], place: Path | None
) -> dict[str, Any]:
    from crqat_pipeline.inference import draw_detections, open_image
    from crqat_pipeline.inference.record import detection_rows

    image = open_image(file)
    found = predict(image)
    record = {"image": str(file), "width_px": image.width, "height_px": image.height}
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        draw_detections(image, found, prompts).save(place)
        record["drawn"] = str(place)
    return record | {"detections": detection_rows(found, prompts)}


def _video_records(
    file: Path, every: int, predict: Callable[[Image.Image], Any], prompts: tuple[str, ...], place: Path | None
) -> list[dict[str, Any]]:
    from crqat_pipeline.inference import draw_detections
    from crqat_pipeline.inference.record import detection_rows
    from crqat_pipeline.inference.video import count_frames, frame_rate, read_frames, write_video
    from crqat_pipeline.runtime.progress import progress

    records: list[dict[str, Any]] = []
    total = count_frames(file)

    def drawn() -> Iterator[Image.Image]:
        frames = read_frames(file, every)
        for frame in progress(frames, file.name, total=None if total is None else -(-total // every), unit="frame"):
            found = predict(frame.image)
            record = {"image": str(file), "frame": frame.number, "time_s": round(frame.time_s, 3)}
            records.append(record | {"detections": detection_rows(found, prompts)})
            yield draw_detections(frame.image, found, prompts, least_side_px=0)

    if place is None:
        for _ in drawn():
            pass
    else:
        write_video(place, drawn(), frame_rate(file) / every)
    return records


def _report(
    records: list[dict[str, Any]], prompts: tuple[str, ...], model: Path, out: Path | None, as_json: bool
) -> None:
    from crqat_pipeline.runtime.atomic import atomic_path

    document = json.dumps(
        {"model": str(model), "prompts": list(prompts), "images": records}, indent=1, ensure_ascii=False
    )
    if out is not None:
        with atomic_path(out / "detections.json") as temporary:
            temporary.write_text(document + "\n", encoding="utf-8")
    if as_json:
        click.echo(document)
        return
    for record in records:
        if "error" not in record:
            where = record["image"] + (f" frame {record['frame']}" if "frame" in record else "")
            best = ", ".join(f"{row['prompt']} {row['score']:.2f}" for row in record["detections"][:5])
            click.echo(f"{where}: {len(record['detections'])} found{': ' + best if best else ''}")
    click.echo(f"Pictures and detections.json are in {out}.")
