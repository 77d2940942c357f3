"""The script that boxes with screens run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from panic_assets_tests.web.pages.parts import installation, network
from panic_assets_tests.web.server import Person, Running

_FOLDER = Path(__file__).parents[3] / "deploy" / "kiosk"


def _started(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), **settings}
    return subprocess.run([_FOLDER / "panic-kiosk"], env=environment, text=True, capture_output=True, timeout=30)


def test_it_shows_the_screen_once_the_server_answers(server: Running, ada: Person, tmp_path: Path) -> None:
    url = f"{server.url}/watch/{installation(ada, network(server, ada))}/wall"
    done = _started(tmp_path, PANIC_KIOSK_URL=url, PANIC_KIOSK_BROWSER="/bin/echo", PANIC_KIOSK_SCALE="2")
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert said[-1] == url
    assert {"--kiosk", "--force-device-scale-factor=2", "--autoplay-policy=no-user-gesture-required"} <= set(said)
    assert list(tmp_path.iterdir()) == [], "the profile is thrown away"


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    done = _started(tmp_path)
    assert done.returncode != 0
    assert "/etc/panic-kiosk.conf" in done.stderr


def test_the_units_are_sound(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    units = [str(file) for file in _FOLDER.iterdir() if file.suffix in (".service", ".timer")]
    done = subprocess.run([verify, "verify", *units], text=True, capture_output=True, timeout=30)
    lines = [line for line in done.stderr.splitlines() if "not executable" not in line and "panic-kiosk" in line]
    assert lines == []
