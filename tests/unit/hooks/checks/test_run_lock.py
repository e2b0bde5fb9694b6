"""One run at a time in one data_root; nothing is left that holds the next one up."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from kedro.io import DatasetError

from crqat_pipeline.hooks.checks.run_lock import LOCK_FILE, FolderLock, RunRefusedError

HOLD = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from crqat_pipeline.hooks.checks.run_lock import FolderLock
    lock = FolderLock(Path(sys.argv[1]))
    lock.acquire()
    print("held", flush=True)
    time.sleep(60)
""")


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of <tmp_path>/data."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_refused_with_the_first_ones_process_host_and_command(holder, tmp_path):
    with pytest.raises(RunRefusedError) as refusal:
        FolderLock(tmp_path / "data").acquire()
    text = str(refusal.value)
    for part in (
        f"process {holder.pid} on {os.uname().nodename}",
        "-c",
        str(tmp_path / "data"),
        "data_root of its own",
    ):
        assert part in text


def test_another_folder_is_free(holder, tmp_path):
    FolderLock(tmp_path / "other").acquire()


def test_a_killed_run_leaves_a_file_that_holds_nobody_up(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "data" / LOCK_FILE).exists()
    lock = FolderLock(tmp_path / "data")
    lock.acquire()
    lock.release()
    assert not (tmp_path / "data" / LOCK_FILE).exists()


def test_the_session_is_refused_before_anything_runs(dummy, mlflow_store):
    folder = dummy.folder / "data"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(RunRefusedError, match="One run at a time"):
            dummy.run("teacher")
        assert dummy.runs(mlflow_store) == {}
        assert [path.name for path in folder.iterdir()] == [LOCK_FILE]
    finally:
        process.kill()
        process.communicate()
    dummy.run("teacher")
    assert not (folder / LOCK_FILE).exists()


def test_a_run_that_fails_lets_go(dummy, mlflow_store):
    with pytest.raises(DatasetError, match="must exist before it is read"):
        dummy.run("evaluation")  # its inputs were never made
    assert not (dummy.folder / "data" / LOCK_FILE).exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(RunRefusedError, match="cannot be written"):
        FolderLock(tmp_path / "data" / "below").acquire()
