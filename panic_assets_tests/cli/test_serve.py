"""`panic serve` and `panic live`, typed as a person types them: real processes, a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from panic_assets.cli import live
from panic_assets.cli.live import NotReady
from panic_assets.live.demo import OPERATOR
from panic_assets.live.store import Store
from panic_assets_tests.cli.parts import Shell


@pytest.fixture
def here(tmp_path: Path) -> Shell:
    """A shell in a folder of its own."""
    return Shell(tmp_path)


def panic(here: Shell, *arguments: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return here("panic_assets.cli", *arguments, given=given, **variables)


@contextmanager
def serving(here: Shell, *options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A server in a process of its own; the process, and what it said until it was ready."""
    command = [sys.executable, "-m", "panic_assets.cli", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, cwd=here.place, env=here.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        yield process, said
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ask(address: str) -> tuple[int, str]:
    """Status and content; waits until the server answers, which listens before it is ready."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def store_of(here: Shell) -> Store:
    return Store(f"sqlite:///{here.data / 'live' / 'live.db'}")


def test_the_demo_is_made_once_and_served_until_ctrl_c(here: Shell) -> None:
    with serving(here, "--demo", "--no-browser") as (process, said):
        words = "\n".join(said)
        assert re.search(rf"operator: {re.escape(OPERATOR)}, password \S{{16}} ", words)
        (base,) = re.findall(r"live networks: (\S+)", words)
        (terminal,) = re.findall(r"terminal \(for 60 minutes\): (\S+)", words)
        screens = dict(re.findall(r"screen (\S+): (\S+)", words))
        assert list(screens) == ["wall", "picture", "caption", "board"]
        status, health = ask(f"{base}/api/health")
        assert (status, json.loads(health)["ok"]) == (200, True)
        for address in (terminal, *screens.values()):
            assert ask(address)[0] == 200, address
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, "stopped; runs that went on go on at the next start\n")
    with serving(here, "--demo", "--no-browser") as (_, again):
        assert not [line for line in again if "password" in line]
    store = store_of(here)
    (network,), (installation,) = store.networks(), store.installations()
    assert network.models == ("TinyScenes", "TinyCaption")
    assert [watcher.kind for watcher in installation.watchers] == ["grid", "single", "single", "vestaboard"]
    assert [user.email for user in store.users()] == [OPERATOR]
    store.close()


def test_other_computers_are_let_in_only_where_somebody_is_in_charge(here: Shell) -> None:
    refused = panic(here, "serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: 0.0.0.0 can be reached from other computers, and there is no account yet")
    made = panic(here, "live", "create-user", "me@example.org", "--admin", given="twelve letters\n")
    assert (made.returncode, made.stdout) == (0, "me@example.org may sign in\n")
    still = panic(here, "serve", "--host", "0.0.0.0", "--port", "0")
    assert still.returncode == 1
    assert "PANIC_LIVE_SECRET_KEY" in still.stderr
    taken = panic(here, "serve", "--host", "192.0.2.1", PANIC_LIVE_SECRET_KEY="x" * 40)
    assert taken.returncode == 1
    assert taken.stderr.startswith("error: can't listen at 192.0.2.1, port 8080: ")


def test_accounts_backup_and_restore(here: Shell) -> None:
    first = panic(here, "live", "create-user", "Me@Example.org", "--generate")
    assert re.fullmatch(r"Me@Example.org may sign in with the password \S{16}\n", first.stdout)
    backup = panic(here, "live", "backup", "copy.db")
    assert backup.returncode == 0
    assert stat.S_IMODE(os.stat(here.place / "copy.db").st_mode) == 0o600
    short = panic(here, "live", "create-user", "you@example.org", given="short\n")
    assert (short.returncode, short.stderr) == (1, "error: a password has 12 to 1000 characters, this one has 5\n")
    panic(here, "live", "create-user", "you@example.org", given="twelve letters\n")
    other = panic(here, "live", "set-password", "nobody@example.org", "--generate")
    assert "there is no account of nobody@example.org; there are: me@example.org, you@example.org" in other.stderr
    asked = panic(here, "live", "restore", "copy.db")
    assert asked.returncode == 1
    assert asked.stderr.endswith("(networks: 0, runs: 0) would be replaced; add --yes\n")
    done = panic(here, "live", "restore", "copy.db", "--yes")
    assert done.returncode == 0, done.stderr
    store = store_of(here)
    assert [user.email for user in store.users()] == ["me@example.org"]
    assert store.audit_log(1)[0].action == "restore"
    store.close()
    (here.place / "text.db").write_text("no database")
    assert panic(here, "live", "restore", "text.db", "--yes").returncode == 1


def test_what_to_install_is_said_where_packages_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_NEEDED", ("fastapi", "a_package_that_is_not_there"))
    with pytest.raises(
        NotReady, match=r"\(a_package_that_is_not_there and others\): pip install 'panic-assets\[live\]'"
    ):
        live.serve()
