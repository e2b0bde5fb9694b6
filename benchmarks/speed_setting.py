"""What benchmarks of speed are asked for: one detector, one size, so many prompts, rounds and calls."""

from __future__ import annotations

import argparse


def speed_parser(description: str | None, *, image_size_px: int, rounds: int, runs: int) -> argparse.ArgumentParser:
    """The options that all of them have. image_size_px, rounds, runs: defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="yolo_world_s")
    parser.add_argument("--version", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=image_size_px)
    parser.add_argument("--prompts", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds through all rows")
    parser.add_argument("--runs", type=int, default=runs, help="calls per round")
    return parser


def setting(arguments: argparse.Namespace, num_threads: int) -> str:
    """The head of a table."""
    return (
        f"{arguments.detector} v{arguments.version}, {arguments.image_size} px, {arguments.prompts} prompts, "
        f"{num_threads} thread(s)"
    )
