"""``panic list``, ``status``, ``show``, ``report`` and ``figures``; and the names that they understand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.cli.names import (
    UnknownName,
    complete_experiment,
    complete_model,
    experiment_named,
    invocation_named,
    run_named,
)
from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets_tests.cli.parts import SMOKE, document, typed


@pytest.fixture
def two(data: Path) -> Iterator[Path]:
    """Beside smoke an experiment that is a file alone."""
    path = data / "experiments" / "smile.yaml"
    path.write_text(SMOKE)
    yield data
    path.unlink()


def test_list(two: Path) -> None:
    lines = typed("list").splitlines()
    assert lines[0].split() == ["experiment", "state", "runs", "ended", "invocations", "last", "activity", "size"]
    assert any(line.split()[:4] == ["smoke", "finished", "2/2", "16"] for line in lines)
    assert any(line.split()[:3] == ["smile", "waiting", "0/2"] for line in lines)
    told = {line["experiment"]: line for line in document("list")}
    assert told["smoke"]["state"] == "finished"
    assert told["smoke"]["bytes"] > 0
    assert told["smile"]["last_activity"] is None


def test_status_is_of_the_latest_unless_told(two: Path) -> None:
    shown = typed("status")
    assert "finished - all of it is done" in shown
    assert shown.count("100 %") == 6
    told = document("status", "smi")
    assert (told["experiment"], told["state"]) == ("smile", "waiting")
    assert [stage["share"] for stage in told["stages"]] == [0] * 6
    refused = CliRunner().invoke(cli.app, ["status", "--watch", "--json"])
    assert refused.exit_code == 2


def test_show_an_experiment(two: Path) -> None:
    shown = typed("show", "smoke")
    for words in ("a red apple", "DummyT2I -> DummyI2T", "Runs of smoke", "Where to look", "8 invocations at most"):
        assert words in shown
    told = document("show", "smoke")
    assert told["settings"]["prompts"] == [{"text": "a red apple", "tags": {}}]
    assert [network["runs"] for network in told["networks"]] == [1, 1]
    assert (told["origin"], told["comparison"]) == (None, None)
    assert "holds no finished runs of it; `panic run smile`" in typed("show", "smile")


def test_show_a_run(data: Path) -> None:
    shown = typed("show", "smoke/0")
    assert "smoke/0" in shown
    assert "length, after 8 invocations" in shown
    told = document("show", "smoke/0")
    assert [step["sequence_number"] for step in told["steps"]] == list(range(8))
    assert [step["type"] for step in told["steps"]] == ["image", "text"] * 4
    assert told["steps"][0]["picture"]["width"] > 0
    texts = Lake(data / "lake").read("invocations", "smoke", where={"run_number": 0}).column("text").to_pylist()
    assert [step["text"] for step in told["steps"]] == texts
    assert set(told["steps"][3]["distances"]) == {"DummyText"}
    assert document("show", told["run_id"][:12]) == told


def test_show_an_invocation(data: Path) -> None:
    told = document("show", "smoke/1/3")
    row = Lake(data / "lake").read("invocations", "smoke", where={"run_number": 1, "sequence_number": 3}).to_pylist()[0]
    assert told["columns"]["invocation_id"] == row["invocation_id"].hex()
    assert told["output_text"] == row["text"]
    assert told["input_picture"]["format"] == "webp-lossless"
    shown = typed("show", "smoke/1/3")
    assert row["text"] in shown
    assert "panic export image smoke 1 2 FILE.png" in shown
    assert document("show", row["invocation_id"].hex()) == told
    assert document("show", "smoke/1/0")["input_text"] == "a red apple"


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("smokes", "there is no experiment 'smokes'; did you mean smoke"),
        ("zzz", "there are: "),
        ("smoke/9", "experiment smoke has no run 9; there are: 0 to 1"),
        ("smoke/0/8", "run 0 of smoke has no invocation 8; there are: 0 to 7"),
        ("smoke/x", "is not EXPERIMENT/RUN with whole numbers, such as demo/12"),
        ("smoke/0/x", "is not EXPERIMENT/RUN/SEQUENCE"),
        ("absent/0", "there is no experiment 'absent'"),
        ("ffffffff", "there is no experiment 'ffffffff'"),
    ],
)
def test_what_is_not_there_is_told(what: str, told: str, data: Path) -> None:
    with pytest.raises(PanicError) as caught:
        typed("show", what)
    assert told in str(caught.value)


def test_names(two: Path) -> None:
    assert experiment_named("smoke") == "smoke"
    assert experiment_named("smo") == "smoke"
    assert experiment_named("latest") in ("smoke", "ci_smoke")
    with pytest.raises(UnknownName, match="'sm' may be smile or smoke; type more of the name"):
        experiment_named("sm")
    with pytest.raises(UnknownName, match="there is no experiment ''"):
        experiment_named("")
    # An exact name comes before names that begin with it.
    longer = two / "experiments" / "smoke-2.yaml"
    longer.write_text(SMOKE)
    try:
        assert experiment_named("smoke") == "smoke"
        assert run_named("smoke/1") == ("smoke", 1)
        assert invocation_named("smoke/1/2") == ("smoke", 1, 2)
    finally:
        longer.unlink()


def test_the_latest_is_the_one_with_the_last_commit(data: Path) -> None:
    manifest = data / "lake" / "runs" / "experiment=smoke" / "_manifest.json"
    before = manifest.stat()
    os.utime(manifest, (before.st_atime, before.st_mtime + 10_000))
    try:
        assert experiment_named("latest") == "smoke"
    finally:
        os.utime(manifest, (before.st_atime, before.st_mtime))


def test_completion(two: Path) -> None:
    assert complete_experiment("sm") == ["smile", "smoke"]
    assert "latest" in complete_experiment("")
    assert complete_model("TinyS")[:1] == ["TinyScenes"]


def test_report(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert typed("report", "smo", "-o", str(target)).startswith(f"{target} (")
    assert document("report", "smoke", "-o", str(target)) == {"path": str(target), "bytes": target.stat().st_size}
    with pytest.raises(PanicError, match="give one experiment, or --compare and two or more"):
        typed("report", "smoke", "--compare")


def test_figures(data: Path, tmp_path: Path) -> None:
    arguments = ("figures", "smoke", "--format", "svg", "--only", "persistence", "--folder", str(tmp_path))
    assert typed(*arguments).split() == [str(tmp_path / "persistence.svg")]
    assert (tmp_path / "persistence.svg").read_bytes().startswith(b"<?xml")
    assert document(*arguments) == {"paths": [str(tmp_path / "persistence.svg")]}
    with pytest.raises(UnknownName, match="there is no experiment 'absent'"):
        typed("figures", "absent")
