"""A Postgres cluster in a folder of its own, on a free port, for one test module."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PLACES = (
    *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
    *Path("/opt/homebrew/opt").glob("postgresql*/bin"),
)


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, which systems keep off the PATH; None if there is none."""
    found = shutil.which("initdb")
    return Path(found).parent if found else next((place for place in _PLACES if (place / "initdb").exists()), None)


@contextmanager
def cluster(folder: Path, bin_folder: Path) -> Iterator[str]:
    """The address of an empty database; the cluster is stopped when the block is left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True)
    # Postgres refuses to run as root.
    other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if other:
        shutil.chown(folder, "postgres")
    data, settings = folder / "cluster", f"-h 127.0.0.1 -p {port} -k {folder} -F"

    def run(*command: str) -> None:
        done = subprocess.run([*other, *command], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    run(str(bin_folder / "initdb"), "-D", str(data), "-U", "dagster", "-A", "trust")
    control = str(bin_folder / "pg_ctl")
    run(control, "-D", str(data), "-o", settings, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg2://dagster@127.0.0.1:{port}/postgres"
    finally:
        run(control, "-D", str(data), "-m", "immediate", "-w", "stop")
