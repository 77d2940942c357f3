"""The summary against a lake whose numbers are known, and what the terminal shows of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from panic_assets.errors import PanicError
from panic_assets.models.registry import load_registry
from panic_assets.reports.summary import NetworkSummary, summarise
from panic_assets.reports.terminal import StageProgress, print_models, print_summary
from panic_assets_tests.reports.hand_made import FAILED, LENGTH, QUALITY, RING, cycle, make_lake

RUNS = [
    # Seeded: two fixed points, two longer cycles, one that settles, two that wander, two that end early.
    (RING, 1, "abab", cycle(0, 2)),
    (RING, 2, "xyzabab", cycle(4, 2)),
    (RING, 3, "xabcdabcd", cycle(1, 4)),
    (RING, 4, "xyabcdefabcdef", cycle(2, 6)),
    (RING, 5, "xyzwaaaa", LENGTH),
    (RING, 6, "abcdefgh", LENGTH),
    (RING, 7, "aaaaaaab", LENGTH),
    (RING, 8, "", FAILED),
    (RING, 9, "ab", QUALITY),
    # Unseeded: one settles, one wanders.
    (RING, -1, "xyaaaa", LENGTH),
    (RING, -1, "abcdef", LENGTH),
    # Another ring: a single late text is no sign of having settled, and a flag ends a run whatever else it did.
    (("Echo",), 1, "a", LENGTH),
    (("Echo",), 2, "aa", LENGTH),
    (("Echo",), 3, "aa", QUALITY | {"transient_length": 0, "cycle_length": 1}),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_lake(tmp_path / "lake", RUNS).root


def test_runs_by_what_became_of_them(root: Path) -> None:
    assert summarise(root, "hand") == [
        NetworkSummary(
            network="Echo",
            unseeded=False,
            runs=3,
            fixed_points=0,
            longer_cycles=0,
            settled=0,
            wanderers=2,
            stopped_early=1,
            transient=0.0,
            longest_cycle=1,
            distinct_texts=1.0,
        ),
        NetworkSummary(
            network="Rephrase -> Translate",
            unseeded=False,
            runs=9,
            fixed_points=2,
            longer_cycles=2,
            settled=1,
            wanderers=2,
            stopped_early=2,
            transient=1.5,
            longest_cycle=6,
            distinct_texts=(2 + 5 + 5 + 8 + 5 + 8 + 2 + 2) / 8,
        ),
        NetworkSummary(
            network="Rephrase -> Translate",
            unseeded=True,
            runs=2,
            fixed_points=0,
            longer_cycles=0,
            settled=1,
            wanderers=1,
            stopped_early=0,
            transient=None,
            longest_cycle=None,
            distinct_texts=4.5,
        ),
    ]


def test_each_run_is_counted_once(root: Path) -> None:
    for row in summarise(root, "hand"):
        assert row.runs == (row.fixed_points + row.longer_cycles + row.settled + row.wanderers + row.stopped_early)


def test_nothing_of_an_unknown_experiment_or_an_empty_lake(root: Path, tmp_path: Path) -> None:
    assert summarise(root, "other") == []
    assert summarise(tmp_path / "nowhere", "hand") == []


def test_the_terminal_shows_the_numbers_and_where_to_look(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(root.parent, "hand", None)
    shown = capsys.readouterr().out
    assert "Runs of hand" in shown
    lines = [line for line in shown.splitlines() if "Translate" in line]
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines]
    assert cells == [
        ["Rephrase -> Translate", "fixed", "9", "2", "2", "1", "2", "2", "1.5", "6", "4.6"],
        ["Rephrase -> Translate", "none", "2", "0", "0", "1", "1", "0", "-", "-", "4.5"],
    ]
    assert "Where to look" in shown
    assert str(root.parent / "catalog.duckdb") in shown
    assert "omputed" not in shown


def test_the_terminal_says_what_was_computed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(root.parent, "hand", {"invocations": 12, "embeddings": 3, "clusters": 0})
    assert capsys.readouterr().out.startswith(
        "Computed: 12 invocations, 3 vectors, 0 trajectories' diagrams, 0 points clustered\n"
    )
    print_summary(root.parent, "hand", {"invocations": 0, "embeddings": 0})
    assert capsys.readouterr().out.startswith("Nothing was computed: the lake holds all of it already.\n")


def test_an_experiment_that_is_not_there_says_what_to_do(root: Path) -> None:
    with pytest.raises(PanicError, match=r"holds no finished runs of 'other'; `panic run FILE` first"):
        print_summary(root.parent, "other", None)


def test_brackets_in_the_path_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "[bold] data"
    make_lake(folder / "lake", RUNS)
    print_summary(folder, "hand", None)
    assert str(folder / "catalog.duckdb") in capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 140])
def test_the_list_of_models_marks_what_nobody_checked(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    registry = load_registry()
    print_models(registry, width)
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= width
    rows = {line.split()[0]: line for line in shown if line.strip() and not line.startswith(" ")}
    for entry in registry.values():
        assert entry.name in rows
        marks = len({"source", "dimension", "memory_gb", "batch"} & set(entry.unverified))
        assert rows[entry.name].count("?") >= marks
    assert rows["name"].split()[:7] == ["name", "from", "to", "GiB", "batch", "licence", "verified"]
    assert rows["DummyText"].split()[:3] == ["DummyText", "text", "64"]


def test_the_list_of_models_says_what_was_verified(capsys: pytest.CaptureFixture[str]) -> None:
    registry = load_registry()
    print_models(registry, 80)
    narrow = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    for name in ("GLMImage", "Qwen3VL"):
        assert narrow[name][-1] == ("yes" if registry[name].verified else "no")
    print_models(registry)
    words = " ".join(capsys.readouterr().out.split())
    assert registry["Qwen3VL"].model_class in words


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress:
        progress("invocations", 1, 10, {"per_second": 2.0, "seconds_left": 4.5})
        progress("invocations", 10, 10, {})
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_on_a_terminal_shows_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    with StageProgress() as progress:
        progress("invocations", 3, 10, {"per_second": 2.0, "seconds_left": 4.5, "network": "A -> B"})
        progress("embeddings", 1, 4, {"embedding_model": "MiniLM"})
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert re.search(r"invocations .*3/10 2\.0/s, 4\.5 s left", shown)
    assert re.search(r"embeddings .*1/4 +MiniLM", shown)
    with StageProgress(silent=True) as progress:
        progress("invocations", 3, 10, {})
    assert "invocations" not in capsys.readouterr().err
