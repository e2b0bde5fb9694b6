"""`crqat detect`: find what prompts describe in images, folders and videos."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from crqat_pipeline.runtime.command_line import FiniteRange, printable, refused
from crqat_pipeline.runtime.sides import Sides

if TYPE_CHECKING:
    from crqat_pipeline.detection_data.rectangle import InputSize
    from crqat_pipeline.inference import Predictor
    from crqat_pipeline.inference.address import Address
    from crqat_pipeline.recipes.file_detection import Question

Files: TypeAlias = "Sequence[tuple[Path | Address, Path]]"
Record: TypeAlias = Mapping[str, Any]
KINDS = ("coco", "csv", "yolo")
VOCABULARY_FOLDER = Path("data/05_model_input")


@click.command("detect")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option("--prompts", default=None, help='What to look for, separated by commas: "red lamp,stray cat".')
@click.option("--prompts-file", type=click.Path(path_type=Path), help="A text file of them instead, one a line.")
@click.option("--vocabulary", default=None, help="Named vocabulary or text bank file [default: the model's own].")
@click.option(
    "--vocabulary-folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=VOCABULARY_FOLDER,
    show_default=True,
    help="Where named vocabularies are (lvis_text_bank.safetensors is 'lvis').",
)
@click.option(
    "--text-encoder", default=None, help="Name of a text encoder (open_clip, …), or JSON with its name and options."
)
@click.option(
    "--threshold",
    type=FiniteRange(0, 1, max_open=True),
    default=0.3,
    show_default=True,
    help="Lowest score that counts as found.",
)
@click.option("--max-detections", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Per image.")
@click.option("--image-size", type=Sides(), default=None, help="Of the input in pixels [default: the model's].")
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda; ONNX and LiteRT models run on the CPU."
)
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Of a video, every n-th frame.")
@click.option("--seconds", type=FiniteRange(0, min_open=True), help="Of a camera or stream [default: until Ctrl-C].")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for pictures and detections.json."
)
@click.option(
    "--write",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Further files in --out: coco_results.json, labels/*.txt of YOLO, detections.csv; repeatable.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="COCO or LVIS file whose categories are the prompts, and whose ids --write coco uses: for crqat evaluate.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_context
def command(
    context: click.Context,
    model: Path,
    images: tuple[str, ...],
    prompts: str | None,
    prompts_file: Path | None,
    vocabulary: str | None,
    vocabulary_folder: Path,
    text_encoder: str | None,
    threshold: float,
    max_detections: int,
    image_size: InputSize | None,
    device: str,
    every: int,
    seconds: float | None,
    out: Path | None,
    kinds: tuple[str, ...],
    annotations: Path | None,
    as_json: bool,
) -> None:
    """Run MODEL (checkpoint, packed file, ONNX or LiteRT) on IMAGES: files, folders, videos, addresses of pictures
    (https://…), cameras (camera:0) and streams (rtsp://…).

    A broken image is reported and the others go on; the exit code is then 1. Each file's detections are on disk as
    soon as they are found (detections.jsonl); after an interruption the same command goes on from there.
    """
    from crqat_pipeline.inference.address import read_given
    from crqat_pipeline.inference.image_files import expand
    from crqat_pipeline.inference.prompt_resolver import read_prompts, split_prompts
    from crqat_pipeline.recipes.annotation_ids import join_by_name
    from crqat_pipeline.recipes.file_detection import Question
    from crqat_pipeline.runtime.termination import SIGINT_EXIT_CODE, sigterm_raises

    if out is None and not as_json:
        raise click.UsageError("Say where results go: --out DIR for pictures, or --json for the terminal.")
    if out is None and kinds:
        raise click.UsageError("--write puts its files into a folder; add --out DIR.")

    if prompts is not None and prompts_file is not None:
        raise click.UsageError("Prompts come from --prompts or from --prompts-file; got both. Leave one out.")

    def question(files: Files) -> Question:
        chosen = None if prompts is None else split_prompts(prompts)
        if prompts_file is not None:
            chosen = read_prompts(prompts_file)
        ids = None
        if annotations is not None:
            ids = join_by_name(annotations, [file for file, _ in files if isinstance(file, Path)], chosen)
            chosen = ids.prompts
        predictor = load_predictor(model, vocabulary_folder, text_encoder, image_size, device)
        return Question(model, predictor, chosen, vocabulary, threshold, max_detections, every, seconds, ids)

    try:
        if not model.is_file():
            raise ValueError(f"No model file {model}. Check the path.")
        paths, addresses = read_given(images)
        found = list(dict.fromkeys(expand(paths)))
        others = [(address, address.name) for address in dict.fromkeys(addresses)]
        files: Files = [*found, *others]
        with sigterm_raises():
            if out is None:
                failed = _to_terminal(question, files)
            else:
                failed = _to_folder(question, found, others, paths, out, kinds, as_json)
    except KeyboardInterrupt:
        context.exit(SIGINT_EXIT_CODE)
    except BrokenPipeError:  # of `| head`: click knows what to do
        raise
    except (ValueError, OSError) as error:
        raise refused(error) from error
    if failed:
        click.echo(f"{len(failed)} of {len(files)} files could not be used:", err=True)
        for record in failed:
            click.echo(printable(f"  {record['error']}"), err=True)
        context.exit(1)


def _to_terminal(question: Callable[[Files], Question], files: Files) -> list[Record]:
    """One JSON document on the standard output; returns the records of files that failed."""
    from crqat_pipeline.inference.record_stream import open_stream
    from crqat_pipeline.recipes.file_detection import FileDetection
    from crqat_pipeline.runtime.progress import progress

    asked = question(files)
    with open_stream(sys.stdout.buffer, asked.head) as stream:
        return FileDetection(asked, stream, lambda record: None).run(progress(files, "detect", unit="file"))


def _to_folder(
    question: Callable[[Files], Question],
    files: Sequence[tuple[Path, Path]],
    others: Files,
    given: Sequence[Path],
    out: Path,
    kinds: Sequence[str],
    as_json: bool,
) -> list[Record]:
    """Pictures, detections.json and further files in a folder; returns the records of files that failed."""
    from crqat_pipeline.inference.result_folder import open_results
    from crqat_pipeline.recipes.file_detection import FileDetection
    from crqat_pipeline.runtime.progress import progress

    with open_results(out) as folder:
        sources: Files = [*folder.sources(files, given), *others]
        asked = question(sources)
        further = asked.result_files(kinds, sources)
        folder.check_free(further, [file for file, _ in sources])
        remaining = folder.begin(asked.digest(), sources)
        if len(remaining) < len(sources):
            done = f"{len(sources) - len(remaining)} of {len(sources)} files"
            click.echo(f"{done} were done before the interruption; going on with the others.", err=True)
        detection = FileDetection(asked, folder, (lambda record: None) if as_json else _report)
        try:
            failed = detection.run(progress(remaining, "detect", unit="file"))
        except (KeyboardInterrupt, SystemExit):
            click.echo(f"Stopped. What is done is kept in {out}; the same command goes on from there.", err=True)
            raise
        document = folder.write_document(asked.head, [file for file, _ in sources], further)
        if as_json:
            with document.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        else:
            beside = [name for kind in further for name in kind.names]
            click.echo(f"Pictures, {', '.join([document.name, *beside])} are in {printable(str(out))}.")
        for note in asked.notes:
            click.echo(printable(note), err=True)
        return failed


def load_predictor(
    model: Path,
    vocabulary_folder: Path,
    text_encoder: str | None,
    image_size_px: InputSize | None,
    device: str = "auto",
) -> Predictor:
    """A predictor over every kind of model file. Raises ValueError that says what the file is and what to do."""
    from crqat_pipeline.inference import Predictor
    from crqat_pipeline.model_files.text_bank_file import find_text_banks
    from crqat_pipeline.runtime.device import choose_device
    from crqat_pipeline.text_encoders import build_text_encoder

    encoder = None
    if text_encoder is not None:
        name, options = _encoder_row(text_encoder)
        encoder = build_text_encoder(name, **options)
    return Predictor.load(
        model,
        image_size_px=image_size_px,
        vocabularies=find_text_banks(vocabulary_folder),
        text_encoder=encoder,
        device=choose_device(device),
    )


def _encoder_row(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options of --text-encoder."""
    from crqat_pipeline.runtime.bounded_json import parse_json

    if not text.startswith("{"):
        return text, {}
    try:
        row = parse_json(text)
        return str(row.pop("name")), row
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f'--text-encoder is a name, or JSON such as {{"name": "open_clip", "model_name": "ViT-B-32"}}; got '
            f"{text[:200]}."
        ) from error


def _report(record: Record) -> None:
    """A line on the terminal."""
    if "error" in record:
        click.echo(printable(f"Skipped: {record['error']}"), err=True)
        return
    where = record["image"] + (f" frame {record['frame']}" if "frame" in record else "")
    if record.get("dropped_frames"):
        where += f" (the last; {record['dropped_frames']} were dropped)"
    best = ", ".join(f"{row['prompt']} {row['score']:.2f}" for row in record["detections"][:5])
    click.echo(printable(f"{where}: {len(record['detections'])} found{': ' + best if best else ''}"))
