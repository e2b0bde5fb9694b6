"""Writes the folder that a browser runs: files of the page, the model, its prompts and the runtime.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from crqat_pipeline.export.web.runtime_package import NAME, VERSION, WASM_FILES, WEBGPU_FILES
from crqat_pipeline.export.web.text_encoder import WebTextEncoder
from crqat_pipeline.model_files.onnx_facts import OnnxFacts
from crqat_pipeline.structures.vocabulary import TextBank

PAGE = "index.html"
FACTS, MODEL, EMBEDDINGS, WORKER = "model.json", "model.onnx", "embeddings.f32", "offline.js"
RUNTIME_FOLDER, TEXT_FOLDER = "runtime", "text_encoder"
KIND = "crqat web"


@dataclass(frozen=True)
class WebFolder:
    """What was written. download_bytes: what a visitor without WebGPU fetches before the first picture; a text
    encoder is fetched with the first name that the bank lacks.
    """

    path: Path
    total_bytes: int
    download_bytes: int


def check_place(out: Path) -> None:
    """Raises ValueError for a place that holds something else than an earlier export of this form."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    facts = out / FACTS
    if not out.is_dir() or not facts.is_file() or KIND not in facts.read_text(encoding="utf-8", errors="replace")[:200]:
        raise ValueError(
            f"The form web writes a folder of its own, and {out} holds something else. Choose a new folder (--out)."
        )


def write_web_folder(
    out: Path,
    model: Path,
    facts: OnnxFacts,
    bank: TextBank,
    input_px: tuple[int, int],
    runtime: Mapping[str, bytes],
    *,
    score_threshold: float = 0.3,
    has_webgpu: bool = True,
    text_encoder: WebTextEncoder | None = None,
) -> WebFolder:
    """The folder `out`, whole or not at all; an earlier one is replaced.

    model: a proved graph for one image of input_px (height, width) with prompts as an input; it is copied. bank: what
    the page can look for. runtime: as `find_runtime` gives it. text_encoder: for names that the bank does not hold.
    Raises ValueError as `check_place` does.
    """
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as name:
        folder = Path(name) / "new"
        page_facts = _facts(facts, bank, input_px, score_threshold, has_webgpu)
        page_facts["text_encoder"] = None if text_encoder is None else dict(text_encoder.facts)
        later = {f"{TEXT_FOLDER}/{each}": text for each, text in text_encoder.files.items()} if text_encoder else {}
        if has_webgpu:
            later |= {f"{RUNTIME_FOLDER}/{each}": runtime[each] for each in WEBGPU_FILES}
        _fill(folder, model, page_facts, bank, runtime, later)
        _put(folder, out, Path(name) / "old")
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in out.rglob("*") if path.is_file()}
    return WebFolder(out, sum(sizes.values()), sum(sizes.values()) - sum(sizes[each] for each in later))


def _put(folder: Path, out: Path, aside: Path) -> None:
    """Move the folder to its place; what was there is back if that fails."""
    if not out.exists():
        folder.rename(out)
        return
    out.rename(aside)
    try:
        folder.rename(out)
    except OSError:
        aside.rename(out)
        raise


def _facts(
    facts: OnnxFacts, bank: TextBank, input_px: tuple[int, int], score_threshold: float, has_webgpu: bool
) -> dict[str, Any]:
    """What the page reads before anything else."""
    return {
        "kind": KIND,
        "name": str((facts.extra.model_extra or {}).get("stage") or "detector"),
        "form": facts.form,
        "runtime": f"{NAME} {VERSION}",
        "has_webgpu": has_webgpu,
        "input_px": list(input_px),
        "embedding_dim": facts.embedding_dim,
        "nms_iou": facts.nms_iou,
        "max_candidates": facts.max_candidates,
        "score_threshold": score_threshold,
        "encoder": bank.encoder,
        "prompts": list(bank.prompts),
    }


def _fill(
    folder: Path,
    model: Path,
    facts: Mapping[str, Any],
    bank: TextBank,
    runtime: Mapping[str, bytes],
    later: Mapping[str, bytes],
) -> None:
    """later: files that a browser fetches, and keeps, only where it uses them."""
    page = {
        entry.name: entry.read_bytes() for entry in files(__package__).joinpath("page").iterdir() if entry.is_file()
    }
    embeddings_KD = bank.embeddings_KD.detach().cpu().float().contiguous().numpy().astype("<f4")
    contents = {
        **{name: content for name, content in page.items() if name != WORKER},
        FACTS: json.dumps(facts, ensure_ascii=False, indent=1).encode(),
        EMBEDDINGS: embeddings_KD.tobytes(),
        **{f"{RUNTIME_FOLDER}/{name}": runtime[name] for name in WASM_FILES},
    }
    for name, content in {**contents, **later}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    shutil.copyfile(model, folder / MODEL)
    kept = ["./", *sorted(set(contents) - {PAGE}), MODEL]
    digest = hashlib.sha256()
    for name in sorted({*contents, *later, MODEL}):
        digest.update(name.encode() + hashlib.sha256((folder / name).read_bytes()).digest())
    worker = page[WORKER].decode().replace("__VERSION__", f"crqat-{digest.hexdigest()[:16]}")
    (folder / WORKER).write_text(worker.replace("__FILES__", json.dumps(kept)), encoding="utf-8")
