"""What is remembered of models on devices: estimates, sizes, and a file that many write and that may be damaged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.devices.known import LAST, KnownFacts, between
from panic_assets.lake.durable import replace_file
from panic_assets.lake.locks import locked
from panic_assets.models.entry import ModelEntry
from panic_assets.models.registry import load_registry

REGISTRY = load_registry()
GPU = "NVIDIA H200"
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
MEASURED = st.dictionaries(st.integers(1, 256), st.floats(0, 1e6), min_size=1, max_size=6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "devices.json"


def entry(name: str = "DummyT2I", **overrides: Any) -> ModelEntry:
    return REGISTRY[name].with_overrides(overrides)


def unsized() -> ModelEntry:
    """An entry that registers no batch size."""
    return entry().model_copy(update={"batch": None})


# Batch sizes


def test_a_registered_size_needs_no_probing_and_another_does(path: Path) -> None:
    facts = KnownFacts(path)
    assert facts.batch_for(entry(batch=8), GPU) == 8
    assert facts.batch_for(unsized(), GPU) is None
    facts.note_call(unsized(), GPU, 4, 1.0)
    assert facts.batch_for(unsized(), GPU) is None, "that a size fits does not make it the best"
    facts.note_probed(unsized(), GPU, 16)
    assert facts.batch_for(unsized(), GPU) == 16
    assert facts.batch_for(unsized(), "cpu") is None


@pytest.mark.parametrize(
    ("cap", "failed", "size"), [(8, 8, 4), (8, 9, 8), (8, 4, 2), (8, 2, 1), (12, 5, 3), (6, 4, 3), (1, 2, 1)]
)
def test_a_size_is_halved_until_it_is_not_known_to_fail(path: Path, cap: int, failed: int, size: int) -> None:
    facts = KnownFacts(path)
    facts.note_out_of_memory(entry(batch=cap), GPU, failed)
    assert facts.batch_for(entry(batch=cap), GPU) == size
    assert facts.batch_failed(entry(batch=cap), GPU) == failed
    assert facts.batch_for(entry(batch=cap), "cpu") == cap
    facts.note_probed(unsized(), GPU, cap)
    assert facts.batch_for(unsized(), GPU) == size


def test_the_least_failure_counts_and_a_single_item_none(path: Path) -> None:
    facts = KnownFacts(path)
    for batch in (8, 4, 16, 1):
        facts.note_out_of_memory(entry(), GPU, batch)
    assert facts.batch_failed(entry(), GPU) == 4


def test_models_are_told_apart_by_what_their_outputs_depend_on(path: Path) -> None:
    facts = KnownFacts(path)
    facts.note_call(entry(batch=4), GPU, 4, 1.0)
    assert facts.seconds(entry(batch=16), GPU, 4) == 1.0, "the cap says nothing about a call"
    assert facts.seconds(entry(batch=4).model_copy(update={"notes": "x"}), GPU, 4) == 1.0
    assert facts.seconds(entry(parameters={"side": 9}), GPU, 4) is None
    assert facts.seconds(entry("DummyT2T"), GPU, 4) is None


def test_the_file_tells_people_what_is_what(path: Path) -> None:
    facts = KnownFacts(path)
    facts.note_call(entry("TinyScenes", parameters={"height": 32, "width": 64}), GPU, 2, 0.5)
    facts.save()
    (record,) = json.loads(path.read_text())["records"]
    assert (record["model"], record["hardware"], record["resolution"]) == ("TinyScenes", GPU, "32x64")
    assert record["calls"] == {"2": {"count": 1, "seconds": [0.5]}}


# Estimates


def test_a_slow_first_call_does_not_spoil_the_estimate(path: Path) -> None:
    facts = KnownFacts(path)
    facts.note_call(entry(), GPU, 4, 60.0)
    assert facts.seconds(entry(), GPU, 4) == 60.0
    facts.note_call(entry(), GPU, 4, 1.0)
    assert facts.seconds(entry(), GPU, 4) == 1.0


def test_the_estimate_follows_the_last_calls(path: Path) -> None:
    facts = KnownFacts(path)
    for _ in range(100):
        facts.note_call(entry(), GPU, 4, 9.0)
    for _ in range(LAST // 2 + 1):
        facts.note_call(entry(), GPU, 4, 2.0)
    assert facts.seconds(entry(), GPU, 4) == 2.0


def test_loads_are_shared_by_entries_with_the_same_weights(path: Path) -> None:
    facts = KnownFacts(path)
    few, many = (entry("TinyScenes", parameters={"num_inference_steps": steps}) for steps in (2, 8))
    facts.note_load(few, GPU, 90.0, 3.5)
    facts.note_load(few, GPU, 30.0)
    facts.note_load(few, GPU, 0.002)
    assert facts.load_seconds(few, GPU) == facts.load_seconds(many, GPU) == 30.0
    assert facts.load_seconds(many, "cpu") is None
    assert (facts.memory_gb(few, GPU), facts.memory_gb(many, GPU)) == (3.5, None)


@pytest.mark.parametrize(("batch", "seconds"), [(0, 1.0), (4, -1.0), (4, float("nan")), (4, float("inf"))])
def test_what_can_not_be_a_measurement_is_refused(path: Path, batch: int, seconds: float) -> None:
    facts = KnownFacts(path)
    with pytest.raises(ValueError, match="validation error"):
        facts.note_call(entry(), GPU, batch, seconds)
    facts.save()
    assert not path.exists()


@pytest.mark.parametrize(
    ("batch", "seconds"), [(1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0), (6, 8.0), (8, 11.0), (10, 14.0)]
)
def test_sizes_between_and_beyond_lie_on_lines(batch: int, seconds: float) -> None:
    assert between({2: 3.0, 4: 5.0, 8: 11.0}, batch) == pytest.approx(seconds)


def test_one_size_is_scaled_and_none_gives_none() -> None:
    assert between({4: 2.0}, 8) == 4.0
    assert between({4: 2.0}, 1) == 0.5
    assert between({}, 4) is None


@given(measured=MEASURED, batch=st.integers(1, 1024))
def test_an_estimate_is_exact_where_it_was_measured_and_sound_elsewhere(measured: dict[int, float], batch: int) -> None:
    assert all(between(measured, size) == seconds for size, seconds in measured.items())
    seconds = between(measured, batch)
    assert seconds is not None
    smaller = [size for size in measured if size <= batch]
    larger = [size for size in measured if size >= batch]
    neighbours = [measured[size] for size in (max(smaller, default=0), min(larger, default=0)) if size]
    assert seconds >= (min(neighbours) * (1.0 if smaller else batch / min(measured))) * (1 - 1e-9)
    assert not larger or seconds <= max(neighbours) * (1 + 1e-9)


@given(measured=MEASURED, batches=st.tuples(st.integers(1, 1024), st.integers(1, 1024)))
def test_where_larger_batches_took_longer_they_are_estimated_to(
    measured: dict[int, float], batches: tuple[int, int]
) -> None:
    rising = dict(zip(sorted(measured), sorted(measured.values()), strict=True))
    less, more = (between(rising, batch) for batch in sorted(batches))
    assert less is not None
    assert more is not None
    assert less <= more * (1 + 1e-9)


# The file


def test_what_is_saved_is_known_to_the_next(path: Path) -> None:
    facts = KnownFacts(path)
    facts.note_call(entry(), GPU, 4, 1.5)
    facts.note_load(entry(), GPU, 20.0, 3.0)
    facts.note_out_of_memory(entry(), GPU, 8)
    facts.note_probed(unsized(), GPU, 4)
    assert not path.parent.exists(), "nothing is written before it is asked for"
    facts.save()
    again = KnownFacts(path)
    for known in (facts, again):
        assert known.seconds(entry(), GPU, 4) == 1.5
        assert known.load_seconds(entry(), GPU) == 20.0
        assert known.memory_gb(entry(), GPU) == 3.0
        assert known.batch_for(entry(batch=32), GPU) == known.batch_for(unsized(), GPU) == 4
    before = path.read_bytes()
    facts.save()
    again.save()
    assert path.read_bytes() == before, "nothing is added twice"


def test_the_file_lies_among_the_disposable_ones(data: Path) -> None:
    assert KnownFacts().path == data / "cache" / "devices.json"


def test_saving_tells_what_others_have_learnt(path: Path) -> None:
    first, second = KnownFacts(path), KnownFacts(path)
    first.note_call(entry(), GPU, 4, 1.0)
    first.save()
    assert second.seconds(entry(), GPU, 4) is None
    second.note_call(entry(), GPU, 8, 2.0)
    second.save()
    assert (second.seconds(entry(), GPU, 4), second.seconds(entry(), GPU, 8)) == (1.0, 2.0)
    assert len(json.loads(path.read_text())["records"]) == 1


NOTES = """
import sys
from pathlib import Path
from panic_assets.devices.known import KnownFacts
from panic_assets.models.registry import load_registry
path, number = Path(sys.argv[1]), int(sys.argv[2])
entry = load_registry()["DummyT2I"]
facts = KnownFacts(path)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(15):
    facts.note_call(entry, "cpu", 4, 1.0)
    facts.note_call(entry, f"gpu {number}", 1 + turn, 1.0 + turn)
    facts.note_out_of_memory(entry, "cpu", 8 + number + turn)
    facts.save()
"""


def test_several_processes_add_at_once_and_nothing_is_lost(path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", NOTES, str(path)]
    started = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait(30) for process in started] == [0, 0, 0]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    records = {record["hardware"]: record for record in json.loads(path.read_text())["records"]}
    assert records["cpu"]["calls"]["4"] == {"count": 45, "seconds": [1.0] * LAST}
    assert records["cpu"]["batch_failed"] == 8
    for number in range(3):
        calls = records[f"gpu {number}"]["calls"]
        assert calls == {str(1 + turn): {"count": 1, "seconds": [1.0 + turn]} for turn in range(15)}


def test_several_threads_note_and_save_at_once_and_nothing_is_lost(path: Path) -> None:
    facts, model = KnownFacts(path), entry()

    def note(number: int) -> None:
        for turn in range(40):
            facts.note_call(model, GPU, 4, 1.0)
            if turn % 10 == number:
                facts.save()

    threads = [threading.Thread(target=note, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts.save()
    (record,) = json.loads(path.read_text())["records"]
    assert record["calls"]["4"]["count"] == 160


def test_a_note_need_not_wait_for_a_save_and_is_not_lost_in_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = KnownFacts(path)

    def replace_slowly(to: Path, content: bytes) -> None:
        facts.note_call(entry(), GPU, 8, 5.0)
        replace_file(to, content)

    facts.note_call(entry(), GPU, 4, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr("panic_assets.devices.known.replace_file", replace_slowly)
        facts.save()
    assert facts.seconds(entry(), GPU, 8) == 5.0
    facts.save()
    assert KnownFacts(path).seconds(entry(), GPU, 8) == 5.0


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"format": 2, "records": []}', b'{"records": [{"model": "x"}]}', b"null"],
)
def test_a_damaged_file_is_set_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="is damaged"):
        facts = KnownFacts(path)
    assert (path.parent / "devices.json.damaged").read_bytes() == content
    assert facts.batch_for(unsized(), GPU) is None
    facts.note_call(entry(), GPU, 4, 1.0)
    facts.save()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert KnownFacts(path).seconds(entry(), GPU, 4) == 1.0


def test_a_file_that_is_damaged_or_deleted_later_costs_only_what_was_in_it(path: Path) -> None:
    facts = KnownFacts(path)
    facts.note_call(entry(), GPU, 4, 1.0)
    facts.save()
    path.write_text("{")
    facts.note_call(entry(), GPU, 8, 2.0)
    with pytest.warns(RuntimeWarning, match="is damaged"):
        facts.save()
    path.unlink()
    facts.note_call(entry(), GPU, 16, 4.0)
    facts.save()
    (record,) = json.loads(path.read_text())["records"]
    assert set(record["calls"]) == {"16"}


def test_what_can_not_be_saved_is_kept_for_the_next_time(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="could not be read"):
        facts = KnownFacts(path)
    facts.note_call(entry(), GPU, 4, 1.0)
    with pytest.warns(RuntimeWarning, match="not saved"):
        facts.save()
    assert facts.seconds(entry(), GPU, 4) == 1.0
    path.rmdir()
    facts.note_call(entry(), GPU, 4, 1.0)
    facts.save()
    (record,) = json.loads(path.read_text())["records"]
    assert record["calls"]["4"]["count"] == 2


def test_a_holder_of_the_lock_that_stays_is_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panic_assets.devices.known._LOCK_SECONDS", 0.0)
    facts = KnownFacts(path)
    facts.note_call(entry(), GPU, 4, 1.0)
    with locked(path.with_suffix(".lock")), pytest.warns(RuntimeWarning, match="not saved.*process"):
        facts.save()
    facts.save()
    assert KnownFacts(path).seconds(entry(), GPU, 4) == 1.0
