from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop.engine import run_experiment
from panic_assets.loop.planning import register, resolve_models
from panic_assets.models.adapters import fetch_model, load_model
from panic_assets.models.adapters.connection import wanted_pause
from panic_assets.models.checking import check_model, download
from panic_assets.models.entry import ModelEntry, parse_entry
from panic_assets.models.errors import ModelCallError, ModelLoadError, RegistryError
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import Registry, load_registry
from panic_assets_tests.models.chat_server import MODEL, ChatServer, Fault, error, message, pictures_of, said

KEY = "sk-very-secret-7f3a"


@pytest.fixture(autouse=True)
def _no_settings_of_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PANIC_CAPTIONER_URL", "PANIC_CHAT_URL", "HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


def entry(url: str, name: str = "ServedChat", source: dict[str, Any] | None = None, **overrides: Any) -> ModelEntry:
    where = {"kind": "server", "url": url, "model": MODEL, "pause_seconds": 0.01, "timeout_seconds": 5.0}
    return load_registry()[name].with_overrides({"source": {**where, **(source or {})}, **overrides})


def answers(model: Any, items: list[Any], seeds: list[int] | None = None) -> list[str]:
    return [output.value for output in model.invoke(items, seeds or [0] * len(items))]


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (24, 16 + number, 3), dtype=np.uint8) for number in range(count)]


# What is asked and what is heard -------------------------------------------------------------------------------------


def test_texts_are_put_into_the_instruction(server: ChatServer) -> None:
    asked = {"instruction": "{text}? Why {text}?", "system": "Be brief.", "max_new_tokens": 7, "top_p": 0.5}
    model = load_model(entry(server.url, parameters={**asked, "temperature": 0.3}))
    assert answers(model, ["{x}"], [2**63 - 1]) == [said(server.bodies[0])]
    assert server.bodies[0] == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{x}? Why {x}?"}],
        "max_tokens": 7,
        "temperature": 0.3,
        "top_p": 0.5,
        "seed": 2**63 - 1,
    }


def test_pictures_arrive_as_they_are(server: ChatServer) -> None:
    given = pictures(5)
    model = load_model(entry(server.url, "ServedCaptioner", batch=4))
    heard = answers(model, given)
    assert len(set(heard)) == 5
    by_answer = {said(body): body for body in server.bodies}
    for text, picture in zip(heard, given, strict=True):
        [seen] = pictures_of(by_answer[text])
        assert (seen == picture).all()
        assert by_answer[text]["messages"][0]["content"][1] == {"type": "text", "text": "Describe this image."}


def test_more_fields_are_passed_on_and_null_leaves_one_out(server: ChatServer) -> None:
    more = {"top_k": 5, "seed": None, "max_tokens": None, "max_completion_tokens": 9}
    load_model(entry(server.url, parameters={"extra_body": more})).invoke(["a"], [3])
    [body] = server.bodies
    assert (body["top_k"], body["max_completion_tokens"]) == (5, 9)
    assert not {"seed", "max_tokens"} & set(body)


def test_the_seed_is_kept_from_models_that_ignore_it(server: ChatServer) -> None:
    sampled = {"temperature": 0.7}
    model = load_model(entry(server.url, parameters=sampled, seed_behaviour="seeded"))
    first = answers(model, ["a", "b"], [1, 2])
    assert answers(model, ["b", "a"], [2, 1]) == first[::-1]
    assert answers(model, ["a", "b"], [3, 4]) != first
    steady = model.for_entry(model.entry.with_overrides({"seed_behaviour": "deterministic"}))
    assert answers(steady, ["a"], [1]) == answers(steady, ["a"], [2])
    assert "seed" not in server.bodies[-1]


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (message("<think>a dog?</think> A cat. "), "A cat."),
        (message("a dog?</think>A cat."), "A cat."),
        (message("<think>a dog? or", reason="length"), ""),
        (message("A cat.", reasoning_content="a dog?", reasoning="a dog?"), "A cat."),
        (message(None, reason="length", reasoning_content="a dog?"), ""),
        (message([{"type": "text", "text": "A "}, {"type": "text", "text": "cat."}]), "A cat."),
        (message("A cat on a", reason="length"), "A cat on a"),
    ],
)
def test_thoughts_are_no_part_of_the_answer(answer: dict[str, Any], heard: str) -> None:
    with ChatServer(Fault(body=answer)) as server:
        [output] = load_model(entry(server.url)).invoke(["x"], [0])
    assert output.value == heard
    assert not output.flags


# A batch -------------------------------------------------------------------------------------------------------------


def test_a_batch_is_asked_at_once_over_connections_that_stay(server: ChatServer) -> None:
    server.delay = 0.1
    model = load_model(entry(server.url, batch=4))
    texts = [f"text {number}" for number in range(8)]
    started = time.perf_counter()
    heard = answers(model, texts)
    assert time.perf_counter() - started < 0.7
    assert server.busiest == 4
    order = {body["messages"][-1]["content"]: said(body) for body in server.bodies}
    assert heard == [order[f"Say the following in other words, in one sentence: {text}"] for text in texts]
    answers(model, texts)
    assert len(server.connections) <= 5  # four at once, and one more at most while another is being given back


def test_a_captioner_and_a_chat_model_of_one_server_share_nothing_but_the_server(server: ChatServer) -> None:
    with ModelPool("cpu") as pool:
        chat, captioner = pool.get(entry(server.url)), pool.get(entry(server.url, "ServedCaptioner"))
        assert pool.memory_gb == 0
        assert answers(chat, ["a"]) != answers(captioner, pictures(1))
        changed = pool.get(entry(server.url, parameters={"instruction": "Shorten: {text}"}))
        answers(changed, ["a"])
    assert server.bodies[-1]["messages"][0]["content"] == "Shorten: a"


# Faults that pass ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        [error(500, "CUDA error")],
        [error(503, "Loading model"), error(502, "Bad Gateway"), Fault(504)],
        [Fault(cut=True)],
        [Fault(429)],
        [Fault(delay=0.6, body=message("too late"))],
    ],
    ids=["500", "503 502 504", "connection cut", "429", "no answer in time"],
)
def test_what_passes_is_asked_again(faults: list[Fault]) -> None:
    with ChatServer(*faults) as server:
        model = load_model(entry(server.url, source={"timeout_seconds": 0.3}))
        assert answers(model, ["a"]) == [said(server.bodies[0])]
        assert len(server.bodies) == len(faults) + 1
        assert all(body == server.bodies[0] for body in server.bodies)


def test_pauses_grow() -> None:
    with ChatServer(*[error(500, "no")] * 3) as server:
        load_model(entry(server.url, source={"pause_seconds": 0.05})).invoke(["a"], [0])
        pauses = np.diff(server.arrivals)
    assert (pauses >= [0.05, 0.1, 0.2]).all()


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    with ChatServer(error(429, "slow down", Retry_After="0.3")) as server:
        load_model(entry(server.url)).invoke(["a"], [0])
        assert np.diff(server.arrivals) >= 0.3
    with ChatServer(error(429, "come back tomorrow", Retry_After="86400")) as server:
        started = time.perf_counter()
        with pytest.raises(ModelLoadError, match="answered 429: come back tomorrow"):
            load_model(entry(server.url)).invoke(["a"], [0])
        assert time.perf_counter() - started < 2
        assert len(server.bodies) == 1


def test_ways_to_ask_for_a_pause() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 27 < (wanted_pause(soon) or 0) <= 30
    assert wanted_pause("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [wanted_pause(text) for text in ("2", "-1", "nan", "inf", "soon", "", None)] == [2, 0, *[None] * 5]


# Faults that stay ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (error(500, "KeyError in layer 3"), ModelCallError, "answered 500: KeyError in layer 3. See what the server"),
        (error(503, "Loading model"), ModelLoadError, "answered 503: Loading model"),
        (Fault(cut=True), ModelCallError, "broke off 2 times"),
        (Fault(delay=0.6), ModelCallError, "did not answer within 0.3 seconds, 2 times. Raise source.timeout_seconds"),
    ],
)
def test_what_does_not_pass_is_told_after_the_last_attempt(fault: Fault, kind: type[Exception], says: str) -> None:
    with ChatServer(*[fault] * 2) as server:
        model = load_model(entry(server.url, source={"attempts": 2, "timeout_seconds": 0.3}))
        with pytest.raises(kind) as raised:
            model.invoke(["a"], [0])
        assert says in str(raised.value)
        assert len(server.bodies) == 2
        assert answers(model, ["a"]) == [said(server.bodies[-1])]  # the pool of connections is not spoiled


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (
            error(400, "This model's maximum context length is 4096 tokens. However, you requested 5000."),
            ModelCallError,
            "Lower max_new_tokens or shorten the texts, or start the server with a longer context",
        ),
        (error(400, "top_k must be -1 or at least 1"), ModelCallError, "Correct parameters and extra_body"),
        (Fault(422, {"detail": [{"msg": "Extra inputs"}]}), ModelCallError, "null for a field of ours leaves it out"),
        (Fault(413, "Request Entity Too Large"), ModelCallError, "Ask for smaller pictures"),
        (error(403, "not yours"), ModelLoadError, "has no right to this model"),
        (Fault(307, headers={"Location": "/elsewhere"}), ModelCallError, "answered 307: nothing"),
        (Fault(body="<html>Welcome</html>"), ModelCallError, "no JSON but <html>Welcome</html>. Is http://127.0.0.1"),
        (Fault(body='{"choices": [{"mess'), ModelCallError, "no JSON but"),
        (Fault(body={**message("a"), "choices": []}), ModelCallError, "without choices[0].message"),
        (Fault(body={"error": {"message": "upstream"}}), ModelCallError, "upstream"),
        (Fault(body=["a"]), ModelCallError, "without choices[0].message"),
        (Fault(body=message({"a": 1})), ModelCallError, "a content that is no text"),
    ],
)
def test_refusals_and_odd_answers_are_told_at_once(fault: Fault, kind: type[Exception], says: str) -> None:
    with ChatServer(fault) as server:
        model = load_model(entry(server.url))
        with pytest.raises(kind) as raised:
            model.invoke(["a"], [0])
        assert says in str(raised.value)
        assert "ServedChat" in str(raised.value)
        assert server.url in str(raised.value)
        assert len(server.bodies) == 1


def test_an_unknown_model_is_told_with_those_there_are(server: ChatServer) -> None:
    model = load_model(entry(server.url, source={"model": "tiny/serwed"}))
    with pytest.raises(ModelLoadError, match=rf"`tiny/serwed` does not exist\. Correct source.model.*has {MODEL}\."):
        model.invoke(["a"], [0])
    lost = load_model(entry(server.url.removesuffix("/v1")))
    with pytest.raises(ModelLoadError, match=r"answered 404: Not Found\. Correct source\.model, or source\.url if"):
        lost.invoke(["a"], [0])


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ModelLoadError, match=r"no connection after 2 attempts \(ConnectError.*Start the server"):
            load_model(entry(url, source={"attempts": 2}))


def test_a_server_that_goes_ends_the_call_and_one_that_comes_back_is_used_again() -> None:
    with ChatServer() as server:
        model = load_model(entry(server.url, source={"attempts": 2}))
        first = answers(model, ["a"])
    with pytest.raises(ModelLoadError, match="no connection after 2 attempts"):
        model.invoke(["a"], [0])
    with ChatServer(port=server.port):
        assert answers(model, ["a"]) == first


def test_a_server_without_a_list_of_models_is_taken() -> None:
    with ChatServer(listing=Fault(404, {"detail": "Not Found"})) as server:
        assert answers(load_model(entry(server.url)), ["a"]) == [said(server.bodies[0])]
    with (
        ChatServer(listing=error(500, "no")) as server,
        pytest.raises(ModelCallError, match="answered 500"),
    ):
        load_model(entry(server.url, source={"attempts": 1}))


# Keys and addresses --------------------------------------------------------------------------------------------------


def test_the_key_goes_to_the_server_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    asked = {"key_variable": "MY_KEY"}
    with ChatServer(key=KEY) as server:
        model = load_model(entry(server.url, source=asked))
        assert answers(model, ["a"]) == [said(server.bodies[0])]
        shown = [repr(model.entry), str(model.entry.source), repr(vars(model))]
    with ChatServer(Fault(body={"error": f"who is {KEY}?"}), Fault(401, f"not {KEY}")) as server:
        model = load_model(entry(server.url, source=asked))
        for kind in (ModelCallError, ModelLoadError):
            with pytest.raises(kind) as raised:
                model.invoke(["a"], [0])
            shown.append(str(raised.value))
    with ChatServer(key="another") as server:
        with pytest.raises(ModelLoadError, match=r"Incorrect API key provided: \*\*\*.*MY_KEY to a key") as refused:
            load_model(entry(server.url, source=asked))
        shown.append(str(refused.value))
    assert KEY not in "\n".join([*shown, caplog.text])


@pytest.mark.parametrize(
    ("value", "says"), [("", "has no key"), ("s\N{SNOWMAN}", "odd letters"), ("a\nb", "odd letters")]
)
def test_keys_that_are_none(value: str, says: str, monkeypatch: pytest.MonkeyPatch, server: ChatServer) -> None:
    monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ModelLoadError, match=f"the environment variable MY_KEY.*{says}"):
        load_model(entry(server.url, source={"key_variable": "MY_KEY"}))


def test_a_variable_takes_the_place_of_the_url(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    there = entry("http://127.0.0.1:9/v1", source={"url_variable": "MY_SERVER", "attempts": 1})
    monkeypatch.setenv("MY_SERVER", server.url + "/")
    assert str(there.source) == f"{MODEL} of the server at {server.url}"
    assert answers(load_model(there), ["a"]) == [said(server.bodies[0])]
    monkeypatch.setenv("MY_SERVER", "http://anna:secret@host/v1")
    with pytest.raises(ModelLoadError, match="MY_SERVER is not such as http") as raised:
        load_model(there)
    assert "secret" not in str(raised.value)
    monkeypatch.delenv("MY_SERVER")
    with pytest.raises(ModelLoadError, match=r"Start the server, or correct source\.url or MY_SERVER"):
        load_model(there)


# Entries -------------------------------------------------------------------------------------------------------------


def test_identity_is_the_model_not_the_way_to_it() -> None:
    one, other = entry("http://127.0.0.1:8000/v1"), entry("https://example.org/v1", source={"key_variable": "K"})
    assert one.identity == other.identity
    assert one.load_identity != other.load_identity
    assert one.identity != entry("http://127.0.0.1:8000/v1", source={"model": "tiny/other"}).identity
    assert one.identity != one.with_overrides({"parameters": {"extra_body": {"top_k": 3}}}).identity
    assert not one.needs_full_batches
    assert load_registry()["DummyT2T"].needs_full_batches


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": {"kind": "server", "model": "m", "url": "127.0.0.1:8000"}}, "source.server.url"),
        ({"source": {"kind": "server", "model": "m", "url": "http://a:b@host/v1"}}, "source.server.url"),
        ({"source": {"kind": "builtin"}}, "the kind server and the adapter openai go together"),
        ({"adapter": "chat", "max_text_tokens": 8}, "the kind server and the adapter openai go together"),
        ({"parameters": {"instruction": "Rephrase."}}, "parameters.instruction: has no {text}"),
        ({"parameters": {"instruction": "{text}", "extra_body": {"n": 2}}}, "n: is set by the adapter itself"),
        ({"parameters": {"instruction": "{text}", "temprature": 1}}, "did you mean temperature?"),
        ({"max_text_tokens": 512}, "max_text_tokens: only the server counts tokens"),
        ({"output": "image"}, "output: a server of this kind writes"),
        ({"batch": None}, "batch: is needed for a server"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(change: dict[str, Any], says: str) -> None:
    values = load_registry()["ServedChat"].model_dump()
    with pytest.raises(RegistryError) as raised:
        parse_entry({**values, **change}, "models.yaml")
    assert says in str(raised.value)


def test_checking_and_downloading(server: ChatServer, data: Path) -> None:
    [trial] = check_model(entry(server.url, "ServedCaptioner")).trials
    assert str(trial.output).startswith("it is ")
    assert trial.items == len(server.bodies)
    assert download(entry(server.url)).folder is None
    with pytest.raises(ModelLoadError, match="adapter openai needs files"):
        fetch_model(entry(server.url))


# The engine ----------------------------------------------------------------------------------------------------------

RING = ["DummyT2I", "ServedCaptioner"]


def _run(lake: Lake, url: str, **source: Any) -> list[tuple[Any, ...]]:
    shipped = load_registry()
    captioner = entry(url, "ServedCaptioner", source=source, batch=2)
    models = Registry({**shipped, "ServedCaptioner": captioner}.values())
    asked = Experiment.parse(
        {
            "name": "ring",
            "networks": [RING],
            "prompts": ["a boat", "a hill in the rain", "two dogs"],
            "seeds": [7],
            "max_length": 6,
            "embedding_models": ["DummyText"],
        }
    )
    asked.check(models)
    entries = resolve_models(asked, models)
    with ModelPool("cpu") as pool:
        run_experiment(lake, asked, register(lake, asked, entries), entries, [LocalDevice(pool)])
    rows = lake.read("invocations", "ring").to_pylist()
    return sorted((r["run_number"], r["sequence_number"], r["model"], r["text"], r["image_hash"]) for r in rows)


def test_a_ring_with_a_served_captioner(tmp_path: Path) -> None:
    """Faults on the way change nothing, and another address neither: the second run finds all done."""
    with ChatServer() as server:
        calm = _run(Lake(tmp_path / "calm"), server.url)
    assert [model for _, _, model, _, _ in calm[:6]] == RING * 3
    assert all((text is None) == (number % 2 == 0) for _, number, _, text, _ in calm)
    lake = Lake(tmp_path / "rough")
    faults = [error(500, "no"), Fault(429), Fault(cut=True), Fault(body='{"a'), error(503, "busy")]
    with ChatServer(*faults) as server:
        assert _run(lake, server.url) == calm
    with ChatServer() as elsewhere:
        assert _run(lake, elsewhere.url) == calm
        assert not elsewhere.bodies


def test_a_server_that_is_gone_ends_the_experiment_which_goes_on_later(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with ChatServer(*[Fault(body=message("it is one"))] * 4, *[error(503, "going down")] * 99) as server:
        with pytest.raises(ModelLoadError, match="going down"):
            _run(lake, server.url, attempts=1)
        server.faults.clear()
        rows = _run(lake, server.url, attempts=1)
    assert len(rows) == 18
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("Served")]
