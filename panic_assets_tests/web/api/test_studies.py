"""Studies by the API: lists, curves, downloads, and the stream of the monitor."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from panic_assets.lake import Lake
from panic_assets.studies.events.store import EventStore
from panic_assets.studies.to_lake import write_comparison
from panic_assets.web.api.study_stream import PERIOD
from panic_assets_tests.studies import made
from panic_assets_tests.web.listening import Audience, until
from panic_assets_tests.web.server import Person, Running


@pytest.fixture(scope="module")
def demo(server: Running) -> str:
    """A study of twenty trials, two of them half done, compared in the lake."""
    made.tell(server.live.events, 20, epoch_count=6, running=2)
    made.fill(Lake(server.live.settings.data / "lake"), server.live.events, 20)
    return "demo"


@pytest.fixture(scope="module")
def reader(server: Running, ada: Person) -> Person:
    return server.program(ada.user_id, "read")


def test_studies_are_listed_with_their_trials_by_state(demo: str, ada: Person):
    found = next(one for one in ada.get("/api/studies").json() if one["study"] == demo)
    assert found["trials"] == {"completed": 18, "running": 2}
    assert found["is_running"] is True
    assert found["sentence"] == made.SENTENCE


def test_a_study_tells_its_comparison(demo: str, reader: Person):
    found = reader.get(f"/api/studies/{demo}").json()
    assert found["arms"] == ["none", "spectral_norm", "dropout", "gradient_clipping", "weight_decay"]
    assert (found["sentence"], found["verdict"], found["reference"]) == (made.SENTENCE, "opposite", "none")
    assert len(found["comparison"]) == len(made.comparison(made.trials(20)))


def test_trials_come_in_order_and_some_at_a_time(demo: str, reader: Person):
    every = reader.get(f"/api/studies/{demo}/trials", params={"limit": 1000}).json()
    assert {row["trial_id"] for row in every} == {made.trial_id(number) for number in range(20)}
    assert len(every) == 20
    assert {row["spectral_norm"] for row in every} == {True, False}
    first = reader.get(f"/api/studies/{demo}/trials", params={"limit": 7}).json()
    rest = reader.get(f"/api/studies/{demo}/trials", params={"after": first[-1]["trial_id"]}).json()
    assert first + rest == every
    running = reader.get(f"/api/studies/{demo}/trials", params={"state": "running"}).json()
    assert {row["trial_id"] for row in running} == {made.trial_id(18), made.trial_id(19)}
    assert len(reader.get(f"/api/studies/{demo}/trials", params={"arm": "dropout"}).json()) == 4


def test_curves_are_thinned_to_what_is_asked_for(demo: str, reader: Person):
    address = f"/api/studies/{demo}/trials/{made.trial_id(0)}/metrics"
    curves = reader.get(address).json()["curves"]
    assert curves["train_loss"] == [
        [step, pytest.approx(value)] for step, value in enumerate(made.epochs(0, 6)["train_loss"])
    ]
    assert len(reader.get(address, params={"points": 2}).json()["curves"]["train_loss"]) <= 4


@pytest.mark.parametrize(
    "path",
    ["none", "none/trials", "none/events", "none/tables/trials/csv", "demo/trials/none", "demo/trials/none/metrics"],
)
def test_what_is_not_there_is_not_there(demo: str, reader: Person, path: str):
    answer = reader.get(f"/api/studies/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_table_comes_as_csv_and_as_parquet(demo: str, reader: Person):
    for table, rows in (
        ("trials", 20),
        ("metrics", 18 * 6 * 5 + 2 * 3 * 5),
        ("comparison", 60),
        ("robustness", 20 * 27),
    ):
        parquet = reader.get(f"/api/studies/{demo}/tables/{table}/parquet")
        read = pq.read_table(io.BytesIO(parquet.content))
        assert parquet.headers["content-disposition"] == f'attachment; filename="demo-{table}.parquet"'
        answer = reader.get(f"/api/studies/{demo}/tables/{table}/csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        told = list(csv.DictReader(io.StringIO(answer.text)))
        assert read.num_rows == len(told) == rows, table
        assert list(told[0]) == read.column_names
    trial = json.loads(read_trial(reader, demo)["parameters"])
    assert trial["width"] == 64


def read_trial(reader: Person, study: str) -> dict[str, str]:
    text = reader.get(f"/api/studies/{study}/tables/trials/csv").text
    return next(csv.DictReader(io.StringIO(text)))


def test_no_cell_of_a_csv_is_a_formula(server: Running, reader: Person):
    row = made.trials(1, "formulas")[0]
    run = made.event("ml.run.start", "formulas", model_run_id=row["model_run_id"], requested_trials=1)
    server.live.events.ingest([run, made.start_of(row, arm='=HYPERLINK("http://evil.example")')])
    assert read_trial(reader, "formulas")["arm"] == '\'=HYPERLINK("http://evil.example")'
    read = pq.read_table(io.BytesIO(reader.get("/api/studies/formulas/tables/trials/parquet").content))
    assert read["arm"].to_pylist() == ['=HYPERLINK("http://evil.example")']


def test_what_was_drawn_is_drawn_anew_only_after_a_trial_has_changed(server: Running, reader: Person):
    row = made.trials(1, "probe")[0]
    run = made.event("ml.run.start", "probe", model_run_id=row["model_run_id"], requested_trials=1)
    server.live.events.ingest([run, made.start_of(row)])
    assert reader.get("/api/studies/probe").json()["comparison"] == []
    room, drawn = server.app.state.studies, list[int]()

    def drawings() -> int:
        room.kept("probe", "something", lambda: drawn.append(1))
        return len(drawn)

    assert [drawings(), drawings()] == [1, 1]
    server.live.events.ingest([made.epoch_of(row, 0, 0)])
    assert drawings() == 1, "an epoch changes no comparison"
    server.live.events.ingest([made.end_of(row)])
    assert [drawings(), drawings()] == [2, 2]
    write_comparison(room.lake, "probe", made.comparison(made.trials(10)))
    assert drawings() == 3


def test_a_study_that_only_the_lake_has_is_shown(server: Running, reader: Person):
    lake = Lake(server.live.settings.data / "lake")
    other = EventStore(f"sqlite:///{server.live.settings.data / 'other.db'}")
    other.migrate()
    made.tell(other, 10, epoch_count=2, study="restored")
    made.fill(lake, other, 10, "restored")
    other.close()
    assert len(reader.get("/api/studies/restored/trials").json()) == 10
    assert reader.get(f"/api/studies/restored/trials/{made.trial_id(2)}").json()["arm"] == "weight_decay"
    curves = reader.get(f"/api/studies/restored/trials/{made.trial_id(2)}/metrics").json()["curves"]
    assert len(curves["train_loss"]) == 2
    assert "restored" in [one["study"] for one in reader.get("/api/studies").json()]


class TestTheStream:
    """What a monitor hears."""

    def test_who_comes_late_is_given_the_state(self, server: Running, demo: str, reader: Person):
        with Audience(server.url) as audience:
            heard = audience.listen("/api/studies/demo/events", Authorization=reader.headers["Authorization"])
            until(lambda: heard.of("state"), "the state")
        state = heard.heard[0].data
        assert state["counts"] == {"completed": 18, "running": 2}
        assert {trial["state"] for trial in state["trials"][:2]} == {"running"}
        assert state["trials"][0]["spectral_norm"] in (True, False)
        points = state["points"][made.trial_id(19)]
        assert len(points["train_loss"]) == 3
        assert not [metric for metric in points if metric.startswith("sigma")]

    def test_new_epochs_come_and_only_they(self, server: Running, demo: str, reader: Person):
        row = made.trials(20)[19]
        with Audience(server.url) as audience:
            heard = audience.listen("/api/studies/demo/events", Authorization=reader.headers["Authorization"])
            until(lambda: heard.of("state"), "the state")
            place = heard.heard[0].number
            server.live.events.ingest([made.epoch_of(row, 19, step, 6) for step in (3, 4)])
            until(lambda: heard.of("trials"), "the epochs")
            told = heard.of("trials")[0].data
            assert [trial["id"] for trial in told["trials"]] == [row["trial_id"]]
            assert [step for step, _ in told["points"][row["trial_id"]]["train_loss"]] == [3, 4]
            server.live.events.ingest([made.epoch_of(row, 19, 5, 6), made.end_of(row)])
            until(lambda: heard.heard[-1].data["counts"].get("completed") == 19, "the end")
            again = audience.listen("/api/studies/demo/events", place, Authorization=reader.headers["Authorization"])
            until(lambda: again.heard, "what was missed")
        assert [event.kind for event in again.heard] == ["trials"], "no state, for little was missed"
        assert [step for step, _ in again.heard[0].data["points"][row["trial_id"]]["train_loss"]] == [3, 4, 5]

    def test_a_flood_is_told_twice_a_second_at_most(self, server: Running, reader: Person):
        rows = made.trials(10, "flood")
        run = made.event("ml.run.start", "flood", model_run_id=rows[0]["model_run_id"], requested_trials=10)
        server.live.events.ingest([run, *map(made.start_of, rows)])
        with Audience(server.url) as audience:
            heard = audience.listen("/api/studies/flood/events", Authorization=reader.headers["Authorization"])
            until(lambda: heard.of("state"), "the state")
            for step in range(30):
                server.live.events.ingest([made.epoch_of(row, place, step) for place, row in enumerate(rows)])
            last = rows[-1]["trial_id"]
            until(
                lambda: (
                    heard.of("trials")
                    and heard.heard[-1].data["points"].get(last, {}).get("train_loss", [[0]])[-1][0] == 29
                ),
                "the last epoch",
            )
        times = [event.at for event in heard.heard]
        assert len(times) <= (times[-1] - times[0]) / PERIOD + 2
        told = {
            tuple(point)
            for event in heard.of("trials")
            for point in event.data["points"].get(last, {}).get("train_loss", [])
        }
        assert {step for step, _ in told} == set(range(30)), "none is lost"

    def test_a_place_of_another_store_is_answered_with_the_state(self, server: Running, demo: str, reader: Person):
        with Audience(server.url) as audience:
            heard = audience.listen("/api/studies/demo/events", 10**15, Authorization=reader.headers["Authorization"])
            until(lambda: heard.of("state"), "the state")

    def test_nobody_unknown_may_listen(self, server: Running, demo: str):
        with Audience(server.url) as audience:
            heard = audience.listen("/api/studies/demo/events")
            until(lambda: heard.status, "an answer")
        assert heard.status == 401
