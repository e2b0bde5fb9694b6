"""What a width buys: size and bit operations of YOLO-World S to X (version 1, 640 px), from shapes alone.

`python benchmarks/width_costs.py` prints the table of docs/how_to/mix_widths.md. Exact: no weights, no data, no seed.
"""

from __future__ import annotations

import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.quantization import QuantSpec, cost
from crqat_pipeline.quantization.width_rules import parse_rule

PROMPTS = (1, 80, 1203)
WIDTHS: dict[str, tuple[str, tuple[str, ...]] | None] = {
    "full precision": None,
    "8-8-8": ("8-8-8", ()),
    "8-8-8, edges and similarity 8": ("8-8-8", ("edges=8", "similarity=8")),
    "4-8-8": ("4-8-8", ()),
    "4-8-8, edges and similarity 8": ("4-8-8", ("edges=8", "similarity=8")),
    "4-4-8 (the paper)": ("4-4-8", ()),
    "4-4-8, similarity 8": ("4-4-8", ("similarity=8",)),
    "4-4-8, edges 8": ("4-4-8", ("edges=8",)),
    "4-4-8, edges and similarity 8": ("4-4-8", ("edges=8", "similarity=8")),
    "3-3-8": ("3-3-8", ()),
}


def spec_of(width: tuple[str, tuple[str, ...]] | None) -> QuantSpec | None:
    """The paper's letter: nothing stays in full precision but the edges, where no rule says otherwise."""
    if width is None:
        return None
    bits, rules = width
    return QuantSpec.parse(bits, widths=[parse_rule(rule) for rule in rules], keep_full_precision=())


def main() -> None:
    for size in "smlx":
        with torch.device("meta"):
            detector = build_detector(f"yolo_world_{size}", version=1)
        print(f"\nYOLO-World-{size.upper()}\n")
        print("| widths | MB | " + " | ".join(f"{n} prompt{'s' * (n > 1)}" for n in PROMPTS) + " |")
        print("| --- | --- | " + " | ".join("---" for _ in PROMPTS) + " |")
        for name, width in WIDTHS.items():
            reports = [cost(detector, spec_of(width), 640, n).as_dict() for n in PROMPTS]
            bops = " | ".join(f"{report['bops_t']:.2f}" for report in reports)
            print(f"| {name} | {reports[0]['size_mb']:.2f} | {bops} |", flush=True)


if __name__ == "__main__":
    main()
