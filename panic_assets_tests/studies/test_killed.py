"""A study whose process is killed at any point goes on, trains no trial twice, and ends with the same tables."""

from __future__ import annotations

import signal
from pathlib import Path

from panic_assets.studies import stage
from panic_assets.studies.bench import Bench
from panic_assets_tests.studies.small import SEARCH, content, killed, write

VALUES = {"search": SEARCH, "comparison": {"pairs": 2, "hyperparameters": "searched"}}
#: Each dies in turn, from where the one before it left off.
DEATHS = (
    "next:after:2",  # suggested, not begun
    "epoch:after:5",  # in the middle of a trial of a search
    "write:before:1",  # trained and with a checkpoint, not committed
    "write:after:1",  # committed, nobody told
    "tell:before:1",  # told, but not to the search
    "trial_ended:after:2",
    "epoch:before:7",
    "run_stopped:before:1",  # all trained
)


def trained(data: Path) -> int:
    """All steps of the study; how many trials were trained."""
    bench = Bench(data)
    summary = stage.train(bench, bench.files.study("small"))
    stage.write_metrics(bench, "small")
    stage.write_lipschitz(bench, "small")
    stage.write_robustness(bench, "small")
    assert stage.compare(bench, bench.files.study("small")) is None
    return summary.trained


def test_after_deaths_at_any_point_all_is_as_if_nothing_had_happened(tmp_path: Path) -> None:
    mended, undisturbed = tmp_path / "mended", tmp_path / "undisturbed"
    for data in (mended, undisturbed):
        write(data, "small", **VALUES)
    seen: dict[str, int] = {}
    at_once, deaths = killed(undisturbed, mended, "small", DEATHS)
    assert at_once == 10
    assert [point for point, *_ in deaths] == list(DEATHS)
    for point, code, files in deaths:
        assert code == -signal.SIGKILL, point
        # What was committed is not written again.
        assert seen.items() <= files.items(), point
        seen = files
    assert len(seen) == 10
    assert trained(mended) == 0
    assert trained(undisturbed) == 0
    told = content(mended, "small")
    assert told["dead_letters"] == []
    assert told == content(undisturbed, "small")
