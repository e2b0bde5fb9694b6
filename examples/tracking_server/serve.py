"""A tracking server on this machine: MLflow before PostgreSQL, artifacts behind the server.

    python examples/tracking_server/serve.py FOLDER [--host 127.0.0.1] [--port 5000]

FOLDER gets the database (`database/`) and the artifacts (`artifacts/`); the next start goes on with them. Ctrl-C ends
both. Needs PostgreSQL 12 or newer and, beside MLflow, psycopg2 (`pip install crqat-pipeline[server]`). compose.yaml in
this folder is the same for containers.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DATABASE = "mlflow"


def find_program(name: str) -> str:
    """On PATH, or where Debian keeps the programs of PostgreSQL's newest version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or (str(installed[-1]) if installed else None)
    if found is None:
        raise FileNotFoundError(f"{name} of PostgreSQL is needed and was not found. Debian: apt install postgresql.")
    return found


class Database:
    """A PostgreSQL of its own, reached by a socket in a folder that only its account can enter; no port is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.account = pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self.account = "postgres"
        self._sockets = Path(tempfile.mkdtemp(prefix="crqat_pg_"))  # the path of a socket has at most 107 bytes

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg2://{self.account}@/{DATABASE}?host={self._sockets}"

    def start(self) -> None:
        """Raises RuntimeError with what PostgreSQL said."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            for folder in (self.folder, self._sockets):
                shutil.chown(folder, self.account)
        is_new = not (self.folder / "PG_VERSION").exists()
        if is_new:
            self._run("initdb", "-D", str(self.folder), "--auth=trust", "--encoding=UTF8", "--locale=C")
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._sockets}'"
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        if is_new:
            self._run("createdb", "-h", str(self._sockets), DATABASE)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-m", "fast", "stop")
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [find_program(program), *arguments],
            user=self.account if os.geteuid() == 0 else None,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,  # which the server would hold open
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stdout or f"see {self.folder / 'log'}"
            raise RuntimeError(f"{program} for {self.folder} ended with {done.returncode}: {said.strip()}")


def server_command(artifacts: Path, host: str, port: int, workers: int) -> list[str]:
    """The database is in MLFLOW_BACKEND_STORE_URI, where no list of processes shows it."""
    options = {"host": host, "port": str(port), "workers": str(workers), "artifacts-destination": artifacts.as_uri()}
    named = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "mlflow", "server", "--serve-artifacts", *named]


def server_environment(database_uri: str) -> dict[str, str]:
    return os.environ | {
        "MLFLOW_BACKEND_STORE_URI": database_uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # for judging chats; three more processes
        "DO_NOT_TRACK": "true",
    }


@contextmanager
def running(folder: Path, host: str, port: int, workers: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """Database and server, until the block ends."""
    artifacts = (folder / "artifacts").resolve()
    artifacts.mkdir(parents=True, exist_ok=True)
    database = Database(folder / "database")
    database.start()
    try:
        command = server_command(artifacts, host, port, workers)
        server = subprocess.Popen(command, env=server_environment(database.uri), start_new_session=True)
        try:
            yield server
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait(timeout=30)
    finally:
        database.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets everybody in")
    parser.add_argument("--port", type=int, default=5000)
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with running(chosen.folder, chosen.host, chosen.port) as server:
        print(f"export MLFLOW_TRACKING_URI=http://{chosen.host}:{chosen.port}", flush=True)
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    raise SystemExit(main())
