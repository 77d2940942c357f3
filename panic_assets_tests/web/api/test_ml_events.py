"""Events of training over HTTP: who may send them, and which answer each request gets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from panic_assets.studies.events.signatures import HEADER, signature
from panic_assets.web.api.ml_events import MOST_EVENTS
from panic_assets_tests.studies.events.parts import event, stream
from panic_assets_tests.web.server import Person, Running, running

URL = "/api/events/ml"
SECRET = "a secret that both sides know"
JSON = {"Content-Type": "application/json"}
START = {"event": "ml.trial.start", "model_run_id": "r", "trial_id": "t", "spectral_norm": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANIC_ML_EVENTS_SECRET", SECRET)
        patch.delenv("PANIC_EVENTS_URL", raising=False)
        with running(tmp_path_factory.mktemp("events"), logins_per_address=1000) as found:
            yield found


@pytest.fixture(scope="module")
def trainer(server: Running, ada: Person) -> Person:
    return server.program(ada.user_id, "train")


def signed(content: bytes, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    return {**JSON, HEADER: signature(secret, content, int(time.time() if at is None else at))}


def test_one_event_is_kept_and_known_again(server: Running, trainer: Person):
    told = {**START, "event_id": "one", "correlation_id": "c"}
    first, second = trainer.post(URL, json=told), trainer.post(URL, json=told)
    assert (first.status_code, second.status_code) == (202, 202)
    kept = {"success": True, "event_id": "one", "event_name": "ml.trial.start", "correlation_id": "c", "details": []}
    assert first.json() == {**kept, "status": "accepted", "message": "the event is kept"}
    assert second.json()["status"] == "duplicate"
    assert server.live.events.trial("t").spectral_norm is True


def test_an_event_without_an_id_gets_one(trainer: Person):
    answers = [trainer.post(URL, json={**START, "trial_id": "nameless"}).json() for _ in range(2)]
    assert [answer["status"] for answer in answers] == ["accepted", "duplicate"]
    assert answers[0]["event_id"] == answers[1]["event_id"]
    waiting = {"event": "ml.run.metric", "trial_id": "never", "measurements": {"a": 1}}
    answers = [trainer.post(URL, json=waiting).json() for _ in range(2)]
    assert [answer["status"] for answer in answers] == ["dead", "dead"]
    assert answers[0]["event_id"] == answers[1]["event_id"]


def test_a_batch_takes_what_is_right_and_keeps_the_rest_as_letters(server: Running, trainer: Person, ada: Person):
    told = [
        *stream(study="batch"),
        {"event": "nothing"},
        event("ml.run.metric", 99, "batch", trial_id="who", metrics={}),
    ]
    answer = trainer.post(URL, json={"events": told})
    assert answer.status_code == 202, answer.text
    assert (answer.json()["accepted"], answer.json()["dead"]) == (len(told) - 2, 2)
    assert [receipt["status"] for receipt in answer.json()["receipts"][-2:]] == ["dead", "dead"]
    assert answer.json()["receipts"][-1]["event_id"] == "batch.99"
    letters = ada.get(f"{URL}/dead-letters", params={"study": "batch"}).json()
    assert [letter["reason"] for letter in letters["letters"]] == ["unknown_trial"]
    assert letters["total"]["malformed"] >= 1


def test_letters_are_replayed_and_discarded_by_operators(server: Running, trainer: Person, ada: Person):
    letter = event("ml.run.metric", 1, "letters", trial_id="later", metrics={"a": 1})
    trainer.post(URL, json=letter)
    kept = ada.get(f"{URL}/dead-letters", params={"study": "letters"}).json()["letters"]
    assert [(found["event_id"], found["body"]["payload"]) for found in kept] == [("letters.1", letter["payload"])]
    again = ada.post(f"{URL}/dead-letters/replay", json={"letter_ids": [kept[0]["letter_id"]]})
    assert (again.status_code, again.json()["dead"]) == (200, 1)
    assert ada.delete(f"{URL}/dead-letters/{kept[0]['letter_id']}").status_code == 204
    assert ada.delete(f"{URL}/dead-letters/{kept[0]['letter_id']}").status_code == 404
    assert trainer.get(f"{URL}/dead-letters").status_code == 403, "a trainer's token may only send"


def test_a_signature_lets_in_without_an_account(anyone: Person):
    content = json.dumps({**START, "trial_id": "signed"}).encode()
    assert anyone.post(URL, content=content, headers=signed(content)).status_code == 202


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (lambda content: signed(content, secret="another"), "does not fit"),
        (lambda content: signed(content + b" "), "does not fit"),
        (lambda content: signed(content, at=time.time() - 400), "another time"),
        (lambda content: signed(content, at=time.time() + 400), "another time"),
        (lambda content: {**JSON, HEADER: "t=1,v1=zz"}, "not of the form"),
        (lambda content: {**JSON, HEADER: "\u0663"}, "not of the form"),
        (lambda content: JSON, "nobody is signed in"),
        (lambda content: {**JSON, "Authorization": "Bearer panic_wrong"}, "token"),
    ],
)
def test_who_proves_nothing_is_not_let_in(anyone: Person, headers, words: str):
    content = json.dumps(START).encode()
    encoded = {name: value.encode() for name, value in headers(content).items()}
    answer = anyone.post(URL, content=content, headers=encoded)
    assert answer.status_code == 401
    assert words in answer.json()["detail"]


def test_a_token_without_the_scope_is_refused(server: Running, ada: Person):
    answer = server.program(ada.user_id, "operate").post(URL, json=START)
    assert (answer.status_code, "scope train" in answer.json()["detail"]) == (403, True)


def test_a_page_of_somebody_else_can_send_nothing(ada: Person):
    token = ada.headers.pop("X-CSRF-Token")
    try:
        assert ada.post(URL, json=START).status_code == 403
    finally:
        ada.headers["X-CSRF-Token"] = token


HOSTILE = {
    "nothing": (b"", 400, "invalid_json"),
    "no JSON": (b"{no json", 400, "invalid_json"),
    "no UTF-8": (b'{"event": "\xff"}', 400, "invalid_json"),
    "UTF-16": (json.dumps(START).encode("utf-16"), 400, "invalid_json"),
    "NaN": (b'{"event": "ml.run.metric", "metric_value": NaN}', 400, "invalid_json"),
    "minus infinity": (b'{"a": -Infinity}', 400, "invalid_json"),
    "a number that overflows": (b'{"a": 1e999}', 400, "invalid_json"),
    "a number of a hundred digits": (b'{"a": ' + b"9" * 100 + b"}", 400, "invalid_json"),
    "a number of a hundred thousand digits": (b'{"a": ' + b"9" * 100_000 + b"}", 400, "invalid_json"),
    "nested too deeply": (b'{"a":' * 60 + b"1" + b"}" * 60, 400, "invalid_json"),
    "nested a hundred thousand deep": (b"[" * 100_000 + b"]" * 100_000, 400, "invalid_json"),
    "a list": (b"[]", 400, "validation_failed"),
    "a number": (b"7", 400, "validation_failed"),
    "null": (b"null", 400, "validation_failed"),
    "an unknown event": (b'{"event": "ml.run.exploded"}', 400, "unknown_event_type"),
    "a field that is missing": (b'{"event": "ml.run.start", "model_run_id": "r"}', 400, "validation_failed"),
    "a wrong type": (json.dumps({**START, "spectral_norm": "yes"}).encode(), 422, "event_construction_failed"),
    "null where required": (json.dumps({**START, "trial_id": None}).encode(), 422, "event_construction_failed"),
    "an id out of this world": (json.dumps({**START, "trial_id": "\u202e\u0301" * 50}).encode(), 422, None),
    "an event that is too large": (
        json.dumps({**START, "parameters": {"a": "x" * 300_000}}).encode(),
        413,
        "too_large",
    ),
    "a body that is too large": (json.dumps({**START, "parameters": {"a": "x" * 1_100_000}}).encode(), 413, None),
    "too many events": (json.dumps({"events": [{}] * (MOST_EVENTS + 1)}).encode(), 413, "too_many_events"),
    "ten thousand events": (json.dumps({"events": [START] * 10_000}).encode(), 413, None),
    "no events": (b'{"events": []}', 422, "validation_failed"),
    "events that are no list": (b'{"events": {"a": 1}}', 422, "validation_failed"),
    "events with something beside": (b'{"events": [{}], "event": "ml.run.start"}', 400, "validation_failed"),
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_each_bad_request_gets_its_answer(server: Running, trainer: Person, what: str):
    content, status, error = HOSTILE[what]
    before = server.live.events.count_dead_letters()
    answer = trainer.post(URL, content=content, headers=JSON)
    assert answer.status_code == status, answer.text[:500]
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 20_000
    if error is not None:
        assert told["error"] == error
        assert told["details"]
    if error == "unknown_event_type":
        assert (told["received"], "ml.trial.complete" in told["details"]) == ("ml.run.exploded", True)
    assert server.live.events.count_dead_letters() == before, "nothing of it is kept"


def test_words_of_any_kind_are_kept_or_replaced(server: Running, trainer: Person):
    words = "\u202e" + "a\u0301" * 1000 + "\U0001f9e0"
    for trial, sent, kept in (("words", words, words), ("halves", "a \ud83d and \x00", "a \ufffd and \ufffd")):
        body = {**START, "trial_id": trial, "parameters": {sent[:50]: sent}}
        assert trainer.post(URL, content=json.dumps(body).encode(), headers=JSON).status_code == 202
        assert server.live.events.trial(trial).parameters == {kept[:50]: kept}


def test_what_is_no_json_or_compressed_is_not_taken(trainer: Person):
    assert trainer.post(URL, content=b"a=1", headers={"Content-Type": "text/plain"}).status_code == 415
    assert trainer.post(URL, content=b"x", headers={**JSON, "Content-Encoding": "gzip"}).status_code == 415
    assert trainer.request("PUT", URL, content=b"{}", headers=JSON).status_code == 405


def test_a_flood_is_slowed_down(tmp_path):
    with running(tmp_path, events_per_minute=600) as server:
        ada = server.person("ada@example.org")
        trainer = server.program(ada.user_id, "train")
        told = [event("ml.run.start", number, model_run_id="r") for number in range(500)]
        assert trainer.post(URL, json={"events": told}).status_code == 202
        answer = trainer.post(URL, json={"events": told})
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["seconds_left"] > 0
        assert server.program(ada.user_id, "train").post(URL, json=START).status_code == 202, "others go on"


def test_a_database_that_fails_is_told_and_nothing_is_said_to_be_kept(tmp_path):
    with running(tmp_path) as server:
        trainer = server.program(server.account("ada@example.org"), "train")
        server.live.events.close()
        file = tmp_path / "training" / "events.db"
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        answer = trainer.post(URL, json=START)
        assert answer.status_code == 503
        assert "success" not in answer.json()
