from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from panic_assets.devices.door import LONGEST_ADDRESS, Door, ServerTaken, make_private
from panic_assets.errors import PanicError


def mode(path: Path | str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_only_its_user_can_enter(tmp_path: Path) -> None:
    door = Door(tmp_path)
    with door.held(0), door.listen():
        secret = door.announce()
        notice = door.notice()
        assert notice is not None
        assert (notice.pid, bytes.fromhex(notice.secret)) == (os.getpid(), secret)
        assert mode(door.folder) == 0o700
        assert mode(notice.address) == mode(door.folder / "door.json") == 0o600
    assert door.notice() is None
    assert not Path(notice.address).exists()


def test_a_long_path_has_its_socket_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        for name in "ab":
            door = Door(tmp_path / ("d" * 90) / name)
            with door.held(0), door.listen():
                door.announce()
                notice = door.notice()
                assert notice is not None
                assert notice.address.startswith(runtime)
                assert len(notice.address.encode()) <= LONGEST_ADDRESS
                assert mode(Path(notice.address).parent) == 0o700
        assert len(os.listdir(runtime)) == 2, "each data directory has its own"


def test_there_is_one_server(tmp_path: Path) -> None:
    door = Door(tmp_path)
    assert door.holder() is None
    with door.held(0):
        assert door.holder() == os.getpid()
        with pytest.raises(ServerTaken, match=str(os.getpid())), Door(tmp_path).held(0):
            pass
    assert door.holder() is None


def test_a_server_elsewhere_is_told_of(tmp_path: Path) -> None:
    door = Door(tmp_path)
    make_private(door.folder)
    (door.folder / "door.json").write_text('{"pid": 7, "host": "far away", "address": "x", "secret": "00"}')
    with pytest.raises(PanicError, match="runs on far away"):
        door.notice()


def test_a_folder_open_to_others_is_closed_and_a_link_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    make_private(folder)
    assert mode(folder) == 0o700
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(PanicError, match="must be a folder"):
        make_private(tmp_path / "link")
