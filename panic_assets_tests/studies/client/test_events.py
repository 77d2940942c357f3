"""What an event is made of."""

from __future__ import annotations

import json
from uuid import UUID

import numpy as np
import pytest

from panic_assets.studies.client.errors import ClientError
from panic_assets.studies.client.events import encoded, event, plain, uuid7


def test_ids_sort_by_their_time_and_are_of_version_seven() -> None:
    ids = [uuid7(milliseconds) for milliseconds in (0, 1, 255, 2**40)]
    assert ids == sorted(ids)
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(7, "specified in RFC 4122")}
    assert len({uuid7(0) for _ in range(1000)}) == 1000


def test_an_event_says_who_when_and_what() -> None:
    body = event("ml.run.metric", {"step": 1, "metrics": {"loss": 0.5}, "rank": None}, source="me", study="demo")
    assert body["name"] == "ml.run.metric"
    assert body["payload"] == {"step": 1, "metrics": {"loss": 0.5}}
    assert (body["source"], body["study"], body["schema_version"]) == ("me", "demo", 1)
    assert body["occurred_at"].endswith("+00:00")
    assert "correlation_id" not in body


@pytest.mark.parametrize("event_id", ["", "a b", "x" * 129, "ä", "a\n"])
def test_an_id_that_no_platform_takes_is_refused_at_once(event_id: str) -> None:
    with pytest.raises(ClientError, match="1 to 128"):
        event("ml.run.metric", {}, source="me", event_id=event_id)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (-np.float32("inf"), "-Infinity"),
        (np.float64(0.25), 0.25),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2.0), 2.0),
        (2**70, str(2**70)),
        ((1, [None, "é"]), [1, [None, "é"]]),
        ({"a\x00": "b\ud800c\U0001f600"}, {"a\ufffd": "b\ufffdc\U0001f600"}),
        ({1: {"a": float("nan")}}, {"1": {"a": "NaN"}}),
    ],
)
def test_values_are_written_as_json_has_them(value: object, written: object) -> None:
    assert plain(value, "it") == written
    assert json.loads(encoded({"it": plain(value, "it")})) == {"it": written}


def test_torch_scalars_are_numbers() -> None:
    import torch

    assert plain({"loss": torch.tensor(0.5, requires_grad=True)}, "it") == {"loss": 0.5}


@pytest.mark.parametrize(("value", "where"), [(object(), "it.a"), (np.zeros(2), "it.a"), ({1, 2}, "it.a")])
def test_what_has_no_json_is_named(value: object, where: str) -> None:
    with pytest.raises(ClientError, match=where):
        plain({"a": value}, "it")


def test_a_value_without_end_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ClientError, match="deeper than"):
        plain(endless, "it")
