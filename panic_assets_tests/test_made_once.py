"""What several workers need is made by one of them, and made again if that failed."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from panic_assets_tests.made_once import made_once


def _make(folder: Path) -> None:
    with (folder.parent / "makers").open("a") as makers:
        makers.write("x")
    (folder / "whole").write_text("yes")


def _worker(place: Path, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_XDIST_WORKER", f"gw{number}")
        assert (made_once(_factory(place / f"popen-gw{number}"), "thing", _make) / "whole").read_text() == "yes"


def _factory(base: Path) -> pytest.TempPathFactory:
    base.mkdir(exist_ok=True)
    return pytest.TempPathFactory(base, 3, "all", lambda *words: None, base, _ispytest=True)


def test_of_several_workers_one_makes_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_worker, args=(tmp_path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "makers").read_text() == "x"


def test_what_was_left_unfinished_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    factory = _factory(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        made_once(factory, "thing", fail)
    assert [path.name for path in made_once(factory, "thing", _make).iterdir()] == ["whole"]
    assert (tmp_path / "makers").read_text() == "x"
