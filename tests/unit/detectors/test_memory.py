"""LVIS's 1203 prompts at 640 px stay within 2 GB on CPU, forward and post-processing."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import torch
from crqat_pipeline.detectors import build_detector
torch.set_num_threads(1)
detector = build_detector("yolo_world_s", version=1).eval()
with torch.no_grad():
    output = detector(torch.rand(1, 3, 640, 640), torch.randn(1203, 512))
    detector.detect(output, score_threshold=0.0, max_detections=300)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert int(done.stdout) * 1024 < 2 * 2**30  # VmHWM in kB; ru_maxrss would count the parent before the program began
