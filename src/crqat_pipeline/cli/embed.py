"""`crqat embed`: a list of words as a file of embeddings."""

from __future__ import annotations

from pathlib import Path

import click

from crqat_pipeline.runtime.command_line import refused

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("embed")
@click.argument("words", type=FILE)
@click.option("--out", required=True, type=FILE, help="The .safetensors file to write: a text bank.")
@click.option(
    "--text-encoder",
    default=None,
    help="Name of a text encoder (open_clip, …), JSON with its name and options, or a file of CLIP weights.",
)
@click.option("--embeddings", type=FILE, help="Look the words up in this file instead: a text bank, or .npy.")
@click.option("--names", type=FILE, help="JSON with the names of its rows; a text bank has its own.")
def command(words: Path, out: Path, text_encoder: str | None, embeddings: Path | None, names: Path | None) -> None:
    """Embed WORDS: one a line, or the names of a JSON list or annotation file.

    By CLIP ViT-B/32 where its weights are on this machine or can be fetched; by name from a file of embeddings where
    one is given: nothing is fetched then, and a word that it lacks is told with the nearest ones.
    """
    if out.suffix != ".safetensors":
        raise click.BadParameter(f"the name must end in .safetensors; got {out.name}.", param_hint="--out")
    from crqat_pipeline.recipes.embedding import TextSource, embed_words, read_words, write_bank
    from crqat_pipeline.runtime.atomic import check_writable

    try:
        source = TextSource(text_encoder, embeddings, names)
        check_writable(out, [words, *source.files])
        bank = embed_words(read_words(words), source)
        write_bank(bank, out)
    except (ValueError, OSError, ImportError) as error:
        raise refused(error) from error
    width = bank.embeddings_KD.shape[1]
    click.echo(f"wrote {out}: {len(bank.prompts)} words, {width} numbers each, by {bank.encoder}")
    click.echo(f"use it: crqat detect MODEL IMAGES --vocabulary {out}, or crqat new … --embeddings {out}")
