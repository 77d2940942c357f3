"""Events as displays hear them: from the state on, without a gap, nothing twice, through moves and restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from panic_assets.live.hub import KEPT
from panic_assets_tests.web.listening import Audience, Listener, until
from panic_assets_tests.web.server import Person, Running, running

FAST = {"pacing": {"steps": [[None, 0.01]]}, "limits": {"invocations": 6}}


@pytest.fixture
def audience(server: Running) -> Iterator[Audience]:
    with Audience(server.url) as found:
        yield found


def prompt(owner: Person, network: str, text: str = "a red house") -> dict:
    answer = owner.post(f"/api/networks/{network}/prompts", json={"prompt": text})
    assert answer.status_code == 201, answer.text
    return answer.json()


def has_ended(listener: Listener, times: int = 1) -> bool:
    return sum(event.data["state"] == "ended" for event in listener.of("run")) >= times


def tell(server: Running, network: str, count: int) -> list[int]:
    """Events that nobody has to compute."""
    topic = f"network:{network}"
    return [server.live.hub.publish(topic, "invocation", {"step": step}).number for step in range(count)]


def test_a_run_is_told_from_beginning_to_end_in_order(server: Running, ada: Person, audience: Audience):
    network = server.network(ada, is_public=True, models=["dummy-t2i", "dummy-i2t"], **FAST)
    one = audience.listen(f"/api/networks/{network}/events")
    until(lambda: one.heard, "the state")
    assert one.heard[0].data == {"network_id": network, "run": None, "invocations": []}
    prompt(ada, network)
    until(lambda: has_ended(one), "the end of the run")
    numbers = [event.number for event in one.heard]
    assert numbers == sorted(set(numbers))
    steps = [(e.data["sequence_number"], e.data["state"]) for e in one.of("invocation")]
    assert steps == sorted(steps, key=lambda step: step[0])
    assert [number for number, state in steps if state == "completed"] == list(range(6))
    assert one.of("run")[0].data["state"] == "running"
    assert one.of("run")[-1].data["end_reason"] == "length"


def test_who_comes_late_sees_the_current_run_at_once(server: Running, ada: Person, audience: Audience):
    network = server.network(ada, is_public=True, **FAST)
    early = audience.listen(f"/api/networks/{network}/events")
    run = prompt(ada, network, "who comes late")["run"]
    until(lambda: has_ended(early), "the end of the run")
    late = audience.listen(f"/api/networks/{network}/events")
    until(lambda: late.heard, "the state")
    state = late.heard[0]
    assert state.kind == "state"
    assert state.number >= early.heard[-1].number
    assert state.data["run"]["id"] == run["id"]
    assert [one["sequence_number"] for one in state.data["invocations"]] == list(range(6))
    assert state.data["invocations"][0]["input"]["text"] == "who comes late"
    assert set(state.data["run"]).isdisjoint({"cost", "error", "started_by"})


def test_who_comes_back_goes_on_where_it_was(server: Running, ada: Person, audience: Audience):
    network = server.network(ada, is_public=True)
    path = f"/api/networks/{network}/events"
    one = audience.listen(path)
    until(lambda: one.heard, "the state")
    first = tell(server, network, 5)
    until(lambda: len(one.heard) == 6, "five events")
    audience.leave(one)
    missed = tell(server, network, 7)
    again = audience.listen(path, after=one.heard[-1].number)
    until(lambda: len(again.heard) == 7, "what was missed")
    later = tell(server, network, 2)
    until(lambda: len(again.heard) == 9, "what comes after")
    assert [e.number for e in one.heard[1:]] + [e.number for e in again.heard] == first + missed + later
    assert not again.of("state"), "nothing is begun anew"


@pytest.mark.parametrize("place", [0, 10**17, "lost"])
def test_who_lost_its_place_is_given_the_state(place, server: Running, ada: Person, audience: Audience):
    network = server.network(ada, is_public=True)
    if place == "lost":
        place = tell(server, network, 1)[0]
        tell(server, network, KEPT + 1)
    one = audience.listen(f"/api/networks/{network}/events", after=place)
    until(lambda: one.heard, "the state")
    assert one.heard[0].kind == "state"
    told = tell(server, network, 1)
    until(lambda: len(one.heard) == 2, "what comes after")
    assert one.heard[1].number == told[0]


def test_a_watcher_is_told_what_it_shows_and_where(server: Running, ada: Person, audience: Audience):
    network = server.network(ada, is_public=True, **FAST)
    watchers = [
        {"name": "wall", "kind": "grid", "rows": 1, "columns": 2},
        {"name": "odd", "kind": "single", "stride": 2, "offsets": [1]},
    ]
    given = {"name": "Hall", "network_id": network, "is_public": True, "watchers": watchers}
    place = ada.post("/api/installations", json=given).json()["id"]
    wall, odd = (audience.listen(f"/api/installations/{place}/watchers/{name}/events") for name in ("wall", "odd"))
    until(lambda: wall.heard and odd.heard, "both states")
    assert wall.heard[0].data["slots"] == [None, None]
    prompt(ada, network)
    until(lambda: has_ended(wall) and has_ended(odd), "the end of the run")
    for event in wall.of("invocation"):
        assert event.data["slot"] == event.data["invocation"]["sequence_number"] % 2
    assert {event.data["invocation"]["sequence_number"] for event in odd.of("invocation")} == {0, 1, 3, 5}
    late = audience.listen(f"/api/installations/{place}/watchers/wall/events")
    until(lambda: late.heard, "the state")
    assert [slot["sequence_number"] for slot in late.heard[0].data["slots"]] == [4, 5]


def test_a_watcher_follows_when_its_installation_moves(server: Running, ada: Person, audience: Audience):
    old, new = (server.network(ada, is_public=True, name=name, **FAST) for name in ("Old", "New"))
    prompt(ada, new, "already there")
    watchers = [{"name": "wall", "kind": "grid", "rows": 2, "columns": 3}]
    given = {"name": "Hall", "network_id": old, "is_public": True, "watchers": watchers}
    place = ada.post("/api/installations", json=given).json()["id"]
    one = audience.listen(f"/api/installations/{place}/watchers/wall/events")
    until(lambda: one.heard, "the state")
    until(lambda: server.live.hub.viewers(f"network:{old}") == 1, "the viewer is counted")
    assert ada.get(f"/api/installations/{place}").json()["watchers"][0]["viewers"] == 1
    assert ada.patch(f"/api/installations/{place}", json={"network_id": new}).status_code == 200
    until(lambda: len(one.of("state")) == 2, "the state of the other network")
    assert one.of("installation")[0].data == {"id": place, "reload": True}
    assert one.of("state")[1].data["network_id"] == new
    assert one.of("state")[1].data["run"]["prompt"] == "already there"
    until(lambda: server.live.hub.viewers(f"network:{new}") == 1, "the viewer is counted there")
    assert server.live.hub.viewers(f"network:{old}") == 0
    before = len(one.heard)
    tell(server, old, 3)
    ada.post(f"/api/networks/{new}/stop")
    prompt(ada, new, "a new one")
    until(lambda: any(e.data.get("prompt") == "a new one" for e in one.of("run")), "a run of the other network")
    assert not any("step" in event.data for event in one.heard[before:])


def test_a_stream_ends_when_its_network_is_no_longer_to_be_seen(server: Running, ada: Person, audience: Audience):
    hidden, deleted = (server.network(ada, is_public=True) for _ in range(2))
    cookie = {"Cookie": f"panic_session={ada.cookies['panic_session']}"}
    one, two = (audience.listen(f"/api/networks/{network}/events") for network in (hidden, deleted))
    own = audience.listen(f"/api/networks/{hidden}/events", **cookie)
    until(lambda: one.heard and two.heard and own.heard, "the states")
    assert ada.patch(f"/api/networks/{hidden}", json={"is_public": False}).status_code == 200
    assert ada.delete(f"/api/networks/{deleted}").status_code == 204
    until(lambda: one.is_over and two.is_over, "the ends")
    assert [listener.heard[-1].data for listener in (one, two)] == [{"gone": True}] * 2
    until(lambda: len(own.of("state")) == 2, "the owner sees it still")
    assert not own.is_over


def test_viewers_are_counted_while_they_watch(server: Running, ada: Person, anyone: Person, audience: Audience):
    network = server.network(ada, is_public=True)

    def viewers() -> int:
        return anyone.get(f"/api/networks/{network}/status").json()["viewers"]

    audience.listen(f"/api/networks/{network}/events")
    until(lambda: viewers() == 1, "the first is counted")
    audience.listen(f"/api/networks/{network}/events")
    until(lambda: viewers() == 2, "the second is counted")
    for listener in list(audience.listeners):
        audience.leave(listener)
    until(lambda: viewers() == 0, "all have left")


def test_the_streams_of_an_address_are_bounded_and_given_back(tmp_path):
    with running(tmp_path, streams_per_address=2) as server, Audience(server.url) as audience:
        path = f"/api/networks/{server.network(server.person('ada@example.org'), is_public=True)}/events"
        held = [audience.listen(path) for _ in range(2)]
        until(lambda: all(listener.heard for listener in held), "two states")
        third = audience.listen(path)
        until(lambda: third.status, "an answer")
        assert third.status == 429
        audience.leave(held[0])
        until(lambda: server.live.streams.take("127.0.0.1"), "a place is given back")


def test_streams_end_when_the_server_stops_and_hearts_beat_until_then(tmp_path):
    with ExitStack() as stack:
        with running(tmp_path, heartbeat_seconds=0.05) as server:
            audience = stack.enter_context(Audience(server.url))
            network = server.network(server.person("ada@example.org"), is_public=True)
            one = audience.listen(f"/api/networks/{network}/events")
            until(lambda: one.comments > 3, "signs of life")
            assert not one.is_over
        until(lambda: one.is_over, "the end")


def test_a_stream_ends_after_its_time_and_goes_on_without_a_gap(tmp_path):
    with running(tmp_path, stream_seconds=0.2) as server, Audience(server.url) as audience:
        network = server.network(server.person("ada@example.org"), is_public=True)
        path = f"/api/networks/{network}/events"
        one = audience.listen(path)
        until(lambda: one.is_over, "the end of its time")
        told = tell(server, network, 3)
        again = audience.listen(path, after=one.heard[-1].number)
        until(lambda: len(again.heard) == 3, "what was missed")
        assert [event.number for event in again.heard] == told
