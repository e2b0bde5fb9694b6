"""A server that is down or dies costs a warning."""

import time


def test_server_down_from_the_start(dummy, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    started = time.monotonic()
    dummy.run("crqat_full")
    assert time.monotonic() - started < 20
    assert (dummy.folder / "data" / "evaluation" / "metrics.json").exists()
    assert sum("MLflow could not" in line for line in caplog.messages) == 1
    assert "loss" in (dummy.folder / "tracking_fallback.jsonl").read_text()
