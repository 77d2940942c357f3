"""A killed engine goes on as if nothing had happened: same rows, same pictures, same vectors."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from panic_assets.codec.api import info
from panic_assets.lake import Lake
from panic_assets_tests.loop.child import FAILED
from panic_assets_tests.loop.parts import content

TABLES = ("experiments", "prompts", "runs", "invocations", "images", "outcomes", "embeddings")
# Cycles and runs without, sharing, failing runs, batches that split a step. The second network gives pictures of the
# others under another name, and its turn comes last: where a picture came first depends on the order of the networks.
VALUES: dict[str, Any] = {
    "networks": [["DummyT2I", "DummyI2T"], ["DummyT2I2", "DummyI2T2"], ["DummyT2I", "DummyI2T", "DummyT2T"]],
    "prompts": ["a boat", "a hill", "a cave", "a road", "a lamp"],
    "seeds": [1, -1],
    "max_length": 30,
    "cycle": "continue",
    "embedding_models": ["DummyText", "DummyVision"],
    "models": {
        "DummyT2I": {"parameters": {"side": 16, "states": 300}, "batch": 5},
        "DummyI2T": {"parameters": {"states": 40}, "batch": 5},
        "DummyT2I2": {"parameters": {"side": 16, "states": 300, "variant": 0}, "batch": 5},
        "DummyI2T2": {"batch": 5},
        "DummyT2T": {"parameters": {"fail_on": "7e"}, "batch": 5},
    },
}


class Children:
    """Orders to the process in `child`, and how they ended."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "panic_assets_tests.loop.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def start(self, folder: Path, values: dict[str, Any], **options: Any) -> int:
        assert self.process.stdin
        folder.mkdir(exist_ok=True)
        self.process.stdin.write(json.dumps({"folder": str(folder), "values": values, **options}) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """Wait status of the child that was started last."""
        return int(self._line())

    def run(self, folder: Path, values: dict[str, Any], **options: Any) -> int:
        self.start(folder, values, **options)
        return self.end()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children()
    yield made
    assert made.process.stdin
    made.process.stdin.close()
    made.process.wait(10)


def _tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All tables but the events: a run that fails is tried again after each kill, and says so again."""
    return {table: content(Lake(folder / "lake"), table) for table in TABLES if table != "events"}


def _progress(folder: Path) -> int:
    try:
        return int.from_bytes((folder / "progress").read_bytes(), "little")
    except FileNotFoundError:
        return 0


def _whole(children: Children, folder: Path, values: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Tables of a run without a break, and how far progress goes."""
    assert children.run(folder, values) == 0, (folder / "error").read_text()
    return _tables(folder), _progress(folder)


def test_the_experiment_of_these_tests_has_what_they_are_about(children: Children, tmp_path: Path) -> None:
    tables, _ = _whole(children, tmp_path / "whole", VALUES)
    reasons = [row["stop_reason"] for row in tables["outcomes"]]
    assert {"failed", "length", "cycle"} == set(reasons)
    assert any(row["shared"] for row in tables["outcomes"])
    assert any(row["batch_size"] == 0 for row in tables["invocations"])
    assert len({row["experiment"] for row in tables["embeddings"]}) == 1


def test_twenty_kills_at_random_moments_change_nothing(children: Children, tmp_path: Path) -> None:
    expected, total = _whole(children, tmp_path / "whole", VALUES)
    moments = random.Random(20)
    # In rising order, or the first late kill would leave nothing to do for those after it. The very end is left to the
    # test of durable steps, for the same reason.
    targets = sorted(moments.uniform(0, 0.9 * total) for _ in range(20))
    folder, reached = tmp_path / "killed", []
    for target in targets:
        (folder / "progress").unlink(missing_ok=True)
        child = children.start(folder, VALUES, commit_seconds=0.02, call_seconds=0.002, linger=True)
        until = time.monotonic() + 30
        while _progress(folder) < target and time.monotonic() < until:
            time.sleep(0.0005)
        time.sleep(moments.uniform(0, 0.01))
        with suppress(ProcessLookupError):  # it ended by itself, with a status that says so
            os.kill(child, signal.SIGKILL)
        assert children.end() == signal.SIGKILL
        reached.append(_progress(folder))
        Lake(folder / "lake").read("invocations", "small")  # what is committed can be read at any time
    assert len(set(reached)) >= 15, "the kills were not at different moments"
    assert children.run(folder, VALUES) == 0
    assert _tables(folder) == expected


@pytest.mark.parametrize("image_format", ["webp-lossless", "webp-90"])
def test_a_kill_before_any_durable_step_changes_nothing(children: Children, tmp_path: Path, image_format: str) -> None:
    values = VALUES | {
        "image_format": image_format,
        "max_length": 7,
        "networks": VALUES["networks"][:1],
        "models": {name: VALUES["models"][name] for name in ("DummyT2I", "DummyI2T")},
    }
    expected, _ = _whole(children, tmp_path / "whole", values)
    folder, count, status = tmp_path / "killed", 0, int(signal.SIGKILL)
    while status == signal.SIGKILL:
        count += 1
        status = children.run(folder, values, commit_seconds=0.0, die_before=count)
    assert status == 0
    assert count > 15
    assert _tables(folder) == expected


@pytest.mark.parametrize("image_format", ["latent-8", "latent-lossless"])
def test_kills_change_nothing_of_latent_pictures(children: Children, tmp_path: Path, image_format: str) -> None:
    sized = {"DummyT2I": {"parameters": {"side": 32}, "batch": 5}, "DummyI2T": {"batch": 5}}
    values = VALUES | {
        "image_format": image_format, "max_length": 8, "networks": VALUES["networks"][:1], "models": sized
    }  # fmt: skip
    folder = tmp_path / "whole"
    assert children.run(folder, values, textured=True) == 0, (folder / "error").read_text()
    expected, folder = _tables(folder), tmp_path / "killed"
    pictures = expected["images"]
    assert all(info(row["image"]).lossless == (image_format == "latent-lossless") for row in pictures)
    for count in (5, 12):
        status = children.run(folder, values, commit_seconds=0.0, die_before=count, textured=True)
        assert status == signal.SIGKILL
        assert len(content(Lake(folder / "lake"), "images")) < len(pictures)
    assert children.run(folder, values, textured=True) == 0
    assert _tables(folder) == expected


def test_a_limit_on_file_sizes_is_told_with_its_remedy_and_loses_nothing(children: Children, tmp_path: Path) -> None:
    expected, _ = _whole(children, tmp_path / "whole", VALUES)
    folder = tmp_path / "limited"
    assert os.waitstatus_to_exitcode(children.run(folder, VALUES, commit_seconds=0.0, file_bytes=12_000)) == FAILED
    error = (folder / "error").read_text()
    assert "could not be written: File too large. Earlier commits are intact; raise the limit on file sizes" in error
    held = Lake(folder / "lake").read("invocations", "small").num_rows
    assert 0 < held <= len(expected["invocations"])
    assert children.run(folder, VALUES) == 0
    assert _tables(folder) == expected


def test_a_full_disk_is_told_with_its_remedy_and_loses_nothing(children: Children, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        expected, _ = _whole(children, tmp_path / "whole", VALUES)
        (disk / "ballast").write_bytes(bytes(2_700_000))
        assert os.waitstatus_to_exitcode(children.run(disk, VALUES, commit_seconds=0.0)) == FAILED
        error = (disk / "error").read_text() if (disk / "error").exists() else ""
        (disk / "ballast").unlink()
        assert "could not be written: No space left on device. Earlier commits are intact; free some space" in error
        held = {row["invocation_id"] for row in content(Lake(disk / "lake"), "invocations")}
        assert held
        assert held < {row["invocation_id"] for row in expected["invocations"]}
        assert children.run(disk, VALUES) == 0
        assert _tables(disk) == expected
    finally:
        subprocess.run(["umount", str(disk)], check=True)
