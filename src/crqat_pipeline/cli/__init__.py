"""The `crqat` command. Each command is a file of this room that exposes `command`, imported when it is used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from crqat_pipeline.cli.missing_package import way_out
from crqat_pipeline.runtime.command_line import show_what_can_be_shown

COMMANDS: dict[str, tuple[str, str]] = {
    "allocate": ("crqat_pipeline.cli.allocate", "Bits of single layers under a budget, without labels."),
    "cost": ("crqat_pipeline.cli.cost", "Size, MACs and bit operations of a detector."),
    "demo": ("crqat_pipeline.cli.demo", "Try prompts on images in the browser."),
    "detect": ("crqat_pipeline.cli.detect", "Find what prompts name in images, with any form of a detector."),
    "embed": ("crqat_pipeline.cli.embed", "Words as a file of text embeddings."),
    "evaluate": ("crqat_pipeline.cli.evaluate", "Score a COCO results file by COCO or LVIS protocol."),
    "export": (
        "crqat_pipeline.cli.export",
        "A packed file or checkpoint as ONNX, LiteRT or web page, proved against it.",
    ),
    "new": ("crqat_pipeline.cli.new", "An environment for photographs of your own, after looking at them."),
    "quantize": (
        "crqat_pipeline.cli.quantize",
        "A checkpoint at fewer bits by calibration alone: packed file and ONNX.",
    ),
    "runs": ("crqat_pipeline.cli.runs", "Where the runs that MLflow holds are compared."),
    "sweep": ("crqat_pipeline.cli.sweep", "AP, size and bit operations at several widths, by calibration alone."),
    "weights": ("crqat_pipeline.cli.weights", "Say what a weight file is; convert it to safetensors."),
}
"""Command -> its module, and its line in `crqat --help` (which so does not wait for torch)."""


KEDRO_COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("crqat_pipeline.hooks.run_command", "Run pipelines, or look at them with --dry-run."),
}
"""What `kedro` offers in this project in place of its own command of that name."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used. modules: as COMMANDS."""

    def __init__(self, *arguments: Any, modules: Mapping[str, tuple[str, str]] = COMMANDS, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return None
        command: click.Command = import_module(self.modules[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.modules and not name.startswith("-"):
            near = get_close_matches(name, self.modules, n=1)
            ctx.fail(f"No such command {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(self.modules.items())])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="crqat-pipeline")
def crqat() -> None:
    """Work with quantized open-vocabulary detectors: what does not need a pipeline run."""


cli = LazyGroup("crqat_pipeline", modules=KEDRO_COMMANDS)
"""What `kedro` looks for in a project whose package has a module named cli."""


def main() -> None:
    """Entry point of the console script. A package that an extra would bring ends it in one sentence."""
    show_what_can_be_shown()
    logging.basicConfig(format="%(asctime)s  %(levelname)s  %(message)s", datefmt="%H:%M:%S")  # as conf/logging.yml
    try:
        crqat()
    except ModuleNotFoundError as error:
        said = way_out(error)
        if said is None:
            raise
        click.echo(f"Error: {said}", err=True)
        sys.exit(1)
