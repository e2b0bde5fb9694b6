"""DistributedDataParallel with one process: the losses of wrapped and unwrapped training are the same numbers.

    python benchmarks/gpu/one_process_ddp.py --device cuda      # NCCL; gloo on a CPU

What more processes add is the reduction; that it starts, reduces over the right parameters and leaves the rest alone
shows with one.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets

PARTS = ("backbone", "neck", "head")


def random_batch(side: int, count: int, prompts: int, dim: int, device: str) -> DetectionBatch:
    boxes_M22 = torch.rand(5, 2, 2).sort(dim=1).values * side
    targets = tuple(ImageTargets(boxes_M22.flatten(1), torch.randint(prompts, (5,))) for _ in range(count))
    texts_KD = nn.functional.normalize(torch.randn(prompts, dim), dim=1)
    return DetectionBatch(torch.rand(count, 3, side, side), targets, texts_KD, tuple(range(count))).to(device)


def losses(detector: nn.Module, forward: nn.Module, batch: DetectionBatch, steps: int) -> list[float]:
    optimizer = torch.optim.AdamW([one for one in detector.parameters() if one.requires_grad], lr=1e-4)
    values = []
    for _ in range(steps):
        output = forward(batch.images_B3HW, batch.text_embeddings)
        loss = sum(detector.loss(output, batch.targets).values())  # type: ignore[operator]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        values.append(float(loss))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--detector", default="yolo_world_open_shapes")
    parser.add_argument("--image-size", type=int, default=128, help="pixels")
    parser.add_argument("--batch", type=int, default=4, help="images")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.manual_seed(0)
    plain = build_detector(options.detector, version=2).to(options.device)
    batch = random_batch(options.image_size, options.batch, 12, plain.embedding_dim, options.device)
    prepare(plain, QuantSpec.parse("4-4-8", activation_initialization="minmax"))
    calibrate(plain, [(batch.images_B3HW, batch.text_embeddings)], PARTS)
    set_quantized(plain, PARTS)
    plain.train()
    wrapped = copy.deepcopy(plain)
    with tempfile.TemporaryDirectory() as folder:
        backend = "nccl" if options.device == "cuda" else "gloo"
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group(backend, init_method=f"file://{Path(folder) / 'meet'}", rank=0, world_size=1)
        try:
            parallel = DistributedDataParallel(wrapped, find_unused_parameters=True)
            pairs = [losses(plain, plain, batch, options.steps), losses(wrapped, parallel, batch, options.steps)]
        finally:
            distributed.destroy_process_group()
    difference = max(abs(one - other) / abs(one) for one, other in zip(*pairs, strict=True))
    print(f"{backend}, one process, {options.steps} steps: largest relative difference of the loss {difference:.1e}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"backend": backend, "largest_difference": difference, "losses": pairs}, file, indent=2)


if __name__ == "__main__":
    main()
