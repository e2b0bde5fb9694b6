"""A server that is down or dies costs a warning."""

import sqlite3
import time

import pytest


def test_server_down_from_the_start(dummy, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    started = time.monotonic()
    dummy.run("crqat_full")
    assert time.monotonic() - started < 20
    assert (dummy.folder / "data" / "evaluation" / "metrics.json").exists()
    assert sum("MLflow could not" in line for line in caplog.messages) == 1
    assert "loss" in (dummy.folder / "tracking_fallback.jsonl").read_text()


def test_a_damaged_store_costs_a_warning(dummy, tmp_path, monkeypatch, caplog):
    (tmp_path / "broken.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'broken.db'}")
    dummy.run("teacher")
    assert (dummy.folder / "data" / "teacher" / "metrics.json").exists()
    told = [line for line in caplog.messages if "MLflow could not" in line]
    assert len(told) == 1
    assert "file is not a database" in told[0]
    assert (tmp_path / "broken.db").read_text() == "no database"


def test_a_store_that_cannot_grow_costs_a_warning_and_stays_whole(dummy, tmp_path, monkeypatch, caplog):
    """As on a full disk: the store is made, then no file may grow beyond a few pages of it."""
    resource = pytest.importorskip("resource")
    store = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    dummy.run("teacher")
    written = dummy.folder / "data" / "teacher" / "metrics.json"
    written.unlink()
    caplog.clear()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        dummy.run("teacher")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert written.exists()
    assert sum("MLflow could not" in line for line in caplog.messages) == 1
    assert "loss" in (dummy.folder / "tracking_fallback.jsonl").read_text()
    with sqlite3.connect(store) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    caplog.clear()
    dummy.run("teacher")
    assert not [line for line in caplog.messages if "MLflow could not" in line]
