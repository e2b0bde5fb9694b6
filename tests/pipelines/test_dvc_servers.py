"""A small project is pushed to a server on loopback, pulled into a fresh clone, and there DVC has nothing to do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Options = dict[str, str]
STAGES = "stages:\n  copied:\n    cmd: cp images.bin copied.bin\n    deps: [images.bin]\n    outs: [copied.bin]\n"


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DVC_NO_ANALYTICS": "1",
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@example.com",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@example.com",
    }
    words = [sys.executable, "-m", *command] if command[0] == "dvc" else command
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def ssh(tmp_path) -> Iterator[Options]:
    """A server of SFTP with keys of its own."""
    pytest.importorskip("dvc_ssh", reason="needs dvc-ssh: pip install dvc-ssh")
    import asyncssh

    mine, servers = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    mine.write_private_key(str(tmp_path / "key"))
    known = asyncssh.import_authorized_keys(mine.export_public_key().decode())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[servers], authorized_client_keys=known, sftp_factory=True
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    yield {"url": f"ssh://me@127.0.0.1:{server.get_port()}{tmp_path}/store", "keyfile": str(tmp_path / "key")}
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def s3(monkeypatch) -> Iterator[Options]:
    """moto answers as S3 does, with a bucket in it."""
    pytest.importorskip("dvc_s3", reason="needs dvc-s3: pip install dvc-s3")
    moto = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[server]'")
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="crqat")
    yield {"url": "s3://crqat/store", "endpointurl": f"http://{host}:{port}"}
    server.stop()


def add_remote(folder: Path, options: Options) -> None:
    run(folder, "dvc", "remote", "add", "--default", "--local", "storage", options["url"])
    for name in options.keys() - {"url"}:
        run(folder, "dvc", "remote", "modify", "--local", "storage", name, options[name])


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_push_clone_pull_and_nothing_to_do(kind, request, tmp_path):
    options = request.getfixturevalue(kind)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    run(first, "git", "init", "--quiet")
    run(first, "dvc", "init", "--quiet")
    (first / "images.bin").write_bytes(bytes(range(256)) * 64)
    (first / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    run(first, "dvc", "add", "--quiet", "images.bin")
    run(first, "dvc", "repro", "--quiet")
    run(first, "git", "add", "--all")
    run(first, "git", "commit", "--quiet", "--message", "all")
    add_remote(first, options)
    assert "1 file pushed" in run(first, "dvc", "push")

    run(tmp_path, "git", "clone", "--quiet", str(first), str(second))
    add_remote(second, options)
    run(second, "dvc", "pull")
    assert (second / "copied.bin").read_bytes() == (first / "images.bin").read_bytes()
    assert "Data and pipelines are up to date." in run(second, "dvc", "repro")
    assert run(second, "git", "status", "--porcelain") == ""
