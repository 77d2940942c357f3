"""Notices: the log in the data directory, and a webhook that may do as it likes."""

from __future__ import annotations

import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import instance_for_test

from panic_assets.defs import notify
from panic_assets.defs.failures import failures, notice_of
from panic_assets.defs.notify import Notice, send, tell
from panic_assets.defs.resources import Laboratory
from panic_assets.lake.locks import locked
from panic_assets_tests.defs.webhook import serving

NOTICE = Notice("run_failed", "panic_assets: experiment small failed: step runs: no ink.", {"run_id": "r1"})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PANIC_WEBHOOK", raising=False)
    monkeypatch.setattr(notify, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(notify, "_TIMEOUT_SECONDS", 0.3)


def lines(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data / "notifications.log").read_text().splitlines()]


def test_without_a_webhook_there_is_the_log(tmp_path: Path) -> None:
    assert tell(NOTICE, tmp_path) == "no webhook"
    assert tell(Notice("broken_files", "two\nlines", {"files": {"a.yaml": "ä"}}), tmp_path) == "no webhook"
    first, second = lines(tmp_path)
    assert first.pop("time").endswith("+00:00")
    assert first == {"kind": "run_failed", "text": NOTICE.text, "run_id": "r1"}
    assert second["files"] == {"a.yaml": "ä"}


def test_a_webhook_gets_words_for_people_and_facts_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as taken:
        monkeypatch.setenv("PANIC_WEBHOOK", taken.address)
        assert tell(NOTICE, tmp_path) == "sent"
    assert taken.messages == lines(tmp_path)
    assert taken.messages[0]["text"] == NOTICE.text  # what Slack shows


@pytest.mark.parametrize(
    ("statuses", "became", "requests"),
    [
        ([500, 503, 200], "sent", 3),
        ([429, 204], "sent", 2),
        ([500], "the server answered 500 (3 times)", 3),
        ([404], "the server answered 404", 1),
        ([302], "the server answered 302", 1),
        ([None], "ReadTimeout (3 times)", 3),
    ],
)
def test_a_server_that_fails(
    statuses: list[int | None], became: str, requests: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(statuses) as taken:
        monkeypatch.setenv("PANIC_WEBHOOK", taken.address)
        assert tell(NOTICE, tmp_path) == became
        assert taken.requests == requests
    assert [line["kind"] for line in lines(tmp_path)] == ["run_failed"] + ["webhook_failed"] * (became != "sent")


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PANIC_WEBHOOK", f"http://127.0.0.1:{free.getsockname()[1]}/SECRET")
        assert tell(NOTICE, tmp_path) == "ConnectError (3 times)"


def test_a_server_that_sends_a_byte_now_and_then_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_PATIENCE_SECONDS", 1.0)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                for letter in b"HTTP/1.1 200 OK\r\n" * 100:
                    if over.wait(0.1):
                        return
                    connection.sendall(bytes([letter]))

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        assert send(f"http://127.0.0.1:{server.getsockname()[1]}/", {"text": "x"}) == "no answer within 1 s"
        over.set()
        thread.join()


@pytest.mark.parametrize("address", ["hooks.example/SECRET", "ftp://hooks.example/SECRET", "http://[SECRET", "http://"])
def test_what_is_no_address_is_told_and_not_shown(address: str) -> None:
    became = send(address, {"text": "x"})
    assert became not in ("sent", "no webhook")
    assert "SECRET" not in became


@pytest.mark.parametrize("statuses", [[200], [500], [None]])
def test_the_address_is_in_no_log(
    statuses: list[int | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), serving(statuses) as taken:
        monkeypatch.setenv("PANIC_WEBHOOK", taken.address)
        tell(NOTICE, tmp_path)
    assert "SECRET" not in caplog.text
    assert "SECRET" not in (tmp_path / "notifications.log").read_text()


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "LARGEST_LOG", 1000)
    for number in range(100):
        tell(Notice("run_failed", f"number {number}"), tmp_path)
    old = tmp_path / "notifications.log.1"
    assert old.stat().st_size <= 1000
    assert (tmp_path / "notifications.log").stat().st_size <= 1000
    assert lines(tmp_path)[-1]["text"] == "number 99"
    assert {path.name for path in tmp_path.iterdir()} == {
        "notifications.log",
        "notifications.log.1",
        ".notifications.log.lock",
    }


def test_a_log_that_cannot_be_written_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notifications.log").mkdir()
    assert tell(NOTICE, tmp_path) == "no webhook"
    assert "can't be written" in caplog.text
    monkeypatch.setattr(notify, "_LOCK_SECONDS", 0.0)
    with locked(tmp_path / ".notifications.log.lock"):
        assert tell(NOTICE, tmp_path) == "no webhook"


# The sensor over failed runs ------------------------------------------------------------------------------------------


@dg.asset
def number() -> int:
    return 3


@dg.asset_check(asset=number, blocking=True)
def is_even() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="3 is odd")


@dg.asset
def broken() -> None:
    raise ValueError("the ink is dry")


def failed_run(instance: dg.DagsterInstance, *assets: Any) -> dg.ExecuteInProcessResult:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = dg.materialize(assets, instance=instance, raise_on_error=False, run_config=quiet)
    assert not result.success
    return result


def test_a_failed_step_is_told_by_its_cause(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = failed_run(instance, broken)
        made = dg.build_run_status_sensor_context(
            sensor_name="failures",
            dagster_run=result.dagster_run,
            dagster_instance=instance,
            dagster_event=result.get_run_failure_event(),
            resources={"laboratory": Laboratory(data=str(tmp_path))},
        )
        with made.for_run_failure() as context:
            failures(context)
    (line,) = lines(tmp_path)
    assert "failed: step broken: ValueError: the ink is dry." in line["text"]
    assert (line["run_id"], line["failed_checks"], line["will_retry"]) == (result.run_id, [], False)


def test_a_failed_check_is_told_by_name_and_description() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = failed_run(instance, number, is_even)
        notice = notice_of(instance, result.dagster_run, "")
    assert notice.text.endswith("failed: check is_even: 3 is odd.")
    assert notice.facts["failed_checks"] == [{"check": "is_even", "asset": "number", "description": "3 is odd"}]


def test_a_run_that_will_be_retried_says_so() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = failed_run(instance, broken).dagster_run
        tagged = run.with_tags({**run.tags, "dagster/partition": "small", "dagster/will_retry": "true"})
        notice = notice_of(instance, tagged, "")
    assert notice.text.startswith("panic_assets: experiment small failed")
    assert notice.text.endswith("It is tried again, from its last commit.")


def test_what_dagster_decides_a_moment_after_the_failure_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with instance_for_test(overrides={"run_retries": {"enabled": True}}, temp_dir=str(tmp_path / "state")) as instance:
        job = dg.Definitions(assets=[number], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
        run = instance.create_run_for_job(job)
        failed = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, "job", message="Killed by signal 9.")
        made = dg.build_run_status_sensor_context(
            sensor_name="failures",
            dagster_run=run,
            dagster_instance=instance,
            dagster_event=failed,
            resources={"laboratory": Laboratory(data=str(tmp_path))},
        )
        decision = threading.Timer(0.5, instance.add_run_tags, (run.run_id, {"dagster/will_retry": "true"}))
        decision.start()
        with made.for_run_failure() as context:
            failures(context)
        decision.join()
    (line,) = lines(tmp_path)
    assert line["will_retry"] is True
    assert line["text"].endswith("It is tried again, from its last commit.")


def test_a_run_without_a_failed_step_lost_its_process() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions(assets=[number], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
        run = instance.create_run_for_job(job)
        notice = notice_of(instance, run, "Killed by signal 9.")
    assert notice.text == "panic_assets: job job failed: its process ended unexpectedly (Killed by signal 9)."
