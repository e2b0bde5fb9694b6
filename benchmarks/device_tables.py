"""AP, size and time of every form that runs of crqat_full left in their data folders: the table of widths of devices.

python benchmarks/device_tables.py data data/phone data/npu
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

FORMS = ("teacher", "finetuned", "ptq", "qat", "crqat", "int4", "onnx")
FIGURES = ("AP", "AP50", "AP_unseen", "AP_novel")


def rows(folder: Path) -> list[str]:
    """A row per form: AP in percent, size in MB (2^20 bytes), milliseconds per image where they were measured."""
    report = folder / "08_reporting" / "evaluation"
    figures: dict[str, Any] = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    times: dict[str, float] = json.loads((report / "latency.json").read_text(encoding="utf-8"))["latency_ms"]
    return [
        " | ".join(
            [
                f"| {folder.name}",
                form,
                *(f"{100 * figures[form]['coco'][name]:.2f}" for name in FIGURES),
                f"{figures[form]['size_mb']:.2f}",
                f"{times[form]:.1f} |" if form in times else "– |",
            ]
        )
        for form in FORMS
        if form in figures
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    heads = ["run", "form", "AP", "AP50", "AP unseen", "AP novel", "MB", "ms"]
    print(f"| {' | '.join(heads)} |\n| {' | '.join(['---'] * len(heads))} |")
    for folder in parser.parse_args().folders:
        print("\n".join(rows(folder)), flush=True)


if __name__ == "__main__":
    main()
