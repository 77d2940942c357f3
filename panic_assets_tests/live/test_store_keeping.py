"""Networks, installations, people and what guards the doors."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.live.records import Limits, OnError, Pacing, Watcher
from panic_assets.live.store import BadValue, LiveStoreError, NotThere, StillFollowed, StillRunning
from panic_assets.live.store.settings import to_json
from panic_assets_tests.live.stores import KINDS, HandClock, begun, opened


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture(params=KINDS)
def store(request, tmp_path, clock):
    with opened(request.param, tmp_path, clock) as store:
        yield store


def names(found):
    return [thing.name for thing in found]


def test_a_network_is_given_back_as_it_was_made(store, clock):
    owner = store.create_user("someone@gallery.example", "hash")
    made = store.create_network(
        "ring",
        "A *description*",
        ["one", "two", "one"],
        lockout_seconds=0,
        pacing=Pacing(((5.0, 0.5), (None, 2.0)), 3.0, 4.0),
        limits=Limits(None, 60.5, 1.25),
        on_error=OnError({"transient": "stop"}, 7, 0.5, 8.0),
        is_public=True,
        owner_id=owner.id,
    )
    assert store.network(made.id) == made
    assert (made.models, made.lockout_seconds, made.is_public) == (("one", "two", "one"), 0.0, True)
    assert made.pacing == Pacing(((5.0, 0.5), (None, 2.0)), 3.0, 4.0)
    assert made.limits == Limits(None, 60.5, 1.25)
    assert made.on_error == OnError({"transient": "stop"}, 7, 0.5, 8.0)
    assert made.created_at == made.updated_at == clock()
    clock.go(1)
    draft = store.create_network("draft")
    assert (draft.models, draft.pacing, draft.limits, draft.on_error) == ((), Pacing(), Limits(), OnError())
    assert names(store.networks()) == ["ring", "draft"]
    assert names(store.networks(owner_id=owner.id)) == names(store.networks(public_only=True)) == ["ring"]
    changed = store.update_network(draft.id, name="ring 2", models=["x"], limits=Limits(cost=2.0))
    assert changed == replace(draft, name="ring 2", models=("x",), limits=Limits(cost=2.0), updated_at=clock())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "  "),
        ("lockout_seconds", -1.0),
        ("lockout_seconds", float("nan")),
        ("lockout_seconds", 1e9),
        ("models", [1]),
        ("pacing", Pacing(())),
        ("pacing", Pacing(((10.0, 1.0),))),
        ("pacing", Pacing(((10.0, 1.0), (5.0, 1.0), (None, 1.0)))),
        ("pacing", Pacing(((None, 1.0), (None, 1.0)))),
        ("pacing", Pacing(((float("nan"), 1.0), (None, 1.0)))),
        ("pacing", Pacing(board_rest=-1.0)),
        ("pacing", {"steps": "soon"}),
        ("limits", Limits(invocations=0)),
        ("limits", Limits(cost=float("inf"))),
        ("on_error", OnError({"bad luck": "retry"})),
        ("on_error", OnError({"auth": "shrug"})),
        ("on_error", OnError(attempts=0)),
        ("on_error", OnError(longest_wait=float("nan"))),
        ("colour", "red"),
    ],
)
def test_a_network_can_not_be_given_nonsense(store, field, value):
    network = store.create_network("ring")
    with pytest.raises(BadValue, match=field):
        store.update_network(network.id, **{field: value})
    if field != "colour":
        with pytest.raises(BadValue, match=field):
            store.create_network(**{"name": "other", field: value})
    assert store.networks() == [network]


seconds = st.floats(0, 1e6)


@given(st.lists(st.floats(0.001, 1e6), unique=True), seconds, seconds, seconds)
def test_every_sensible_pacing_survives_json(ages, rest, board, first):
    pacing = Pacing(tuple((age, rest) for age in [*sorted(ages), None]), board, first)
    kept = json.loads(json.dumps(to_json("pacing", pacing)))
    assert to_json("pacing", kept) == kept
    assert [tuple(step) for step in kept["steps"]] == list(pacing.steps)


def test_a_row_that_somebody_spoiled_is_named(store):
    network = store.create_network("ring")
    with store._writes() as connection:
        connection.execute(sa.text("UPDATE networks SET pacing = '{\"steps\": 3}'"))
    with pytest.raises(LiveStoreError, match=rf"networks, '{network.id}', column pacing .*steps"):
        store.network(network.id)


def test_a_network_goes_with_its_runs_once_nobody_needs_it(store):
    network, run, genesis = begun(store)
    kept, kept_run, _ = begun(store)
    screens = store.create_installation("foyer", network.id)
    with pytest.raises(StillRunning) as running:
        store.delete_network(network.id)
    assert running.value.run == run
    store.end_run(run.id, "stopped")
    with pytest.raises(StillFollowed, match="foyer"):
        store.delete_network(network.id)
    store.update_installation(screens.id, network_id=kept.id)
    store.delete_network(network.id)
    assert store.networks() == [kept]
    assert store.running_runs() == [kept_run]
    for ask, key in ((store.network, network.id), (store.run, run.id), (store.invocation, genesis.id)):
        with pytest.raises(NotThere):
            ask(key)
    with pytest.raises(NotThere):
        store.delete_network(network.id)


def test_an_owner_or_network_that_is_not_there_is_refused(store):
    network = store.create_network("ring")
    for act in (
        lambda: store.create_network("other", owner_id="nobody"),
        lambda: store.update_network(network.id, owner_id="nobody"),
        lambda: store.update_network("nobody", name="x"),
        lambda: store.create_installation("foyer", "nobody"),
        lambda: store.create_session("nobody", "t", datetime(2030, 1, 1, tzinfo=UTC)),
        lambda: store.create_api_token("nobody", "t", "t", []),
    ):
        with pytest.raises(NotThere, match="nobody"):
            act()
    assert store.networks() == [network]


def test_watchers_are_added_changed_put_in_order_and_removed(store, clock):
    network = store.create_network("ring")
    grid = Watcher("wall", "grid", rows=2, columns=3)
    single = Watcher("left", "single", stride=3, offsets=(0, 2), show_invoking=True)
    board = Watcher("flaps", "vestaboard", stride=1, offsets=(0,), board="one", initial_prompt=True)
    made = store.create_installation("foyer", network.id, [grid], is_public=True)
    clock.go(1)
    store.add_watcher(made.id, single)
    assert store.add_watcher(made.id, board).watchers == (grid, single, board)
    assert store.reorder_watchers(made.id, ["flaps", "wall", "left"]).watchers == (board, grid, single)
    right = replace(single, name="right")
    assert store.update_watcher(made.id, "left", right).watchers == (board, grid, right)
    found = store.remove_watcher(made.id, "wall")
    assert store.installation(made.id) == found == replace(made, watchers=(board, right), updated_at=clock())
    assert store.installations(network_id=network.id) == store.installations(public_only=True) == [found]
    for act in (
        lambda: store.add_watcher(made.id, right),
        lambda: store.update_watcher(made.id, "right", board),
        lambda: store.reorder_watchers(made.id, ["flaps"]),
        lambda: store.reorder_watchers(made.id, ["flaps", "flaps"]),
        lambda: store.update_installation(made.id, watchers=[board, board]),
        lambda: store.update_installation(made.id, name=""),
        lambda: store.update_installation(made.id, colour="red"),
    ):
        with pytest.raises(BadValue):
            act()
    for act in (
        lambda: store.update_watcher(made.id, "wall", grid),
        lambda: store.remove_watcher(made.id, "wall"),
        lambda: store.add_watcher("nowhere", grid),
        lambda: store.update_installation("nowhere", name="x"),
        lambda: store.delete_installation("nowhere"),
    ):
        with pytest.raises(NotThere):
            act()
    assert store.installation(made.id) == found
    store.delete_installation(made.id)
    assert store.installations() == []


def test_people_have_one_address_each_whatever_its_letters(store):
    someone = store.create_user(" Someone@Gallery.example ", "hash-1", is_admin=True)
    assert someone.email == "someone@gallery.example"
    assert "hash-1" not in repr(someone)
    with pytest.raises(BadValue, match="already"):
        store.create_user("someone@gallery.EXAMPLE", "hash-2")
    with pytest.raises(BadValue, match="@"):
        store.create_user("someone", "hash")
    assert store.user_by_email("SOMEONE@gallery.example") == store.user(someone.id) == someone
    assert store.user_by_email("nobody@gallery.example") is None
    assert store.users() == [someone]


def test_sessions_end_in_time_by_hand_and_with_the_password(store, clock):
    user, other = (store.create_user(f"{name}@gallery.example", "hash") for name in ("a", "b"))
    for number in range(4):
        clock.go(1)
        store.create_session(user.id, f"token-{number}", clock() + timedelta(seconds=100 + number), "Firefox")
    store.create_session(other.id, "other", clock() + timedelta(days=1))
    found = store.session("token-0")
    assert (found.user_id, found.agent) == (user.id, "Firefox")
    assert "token-0" not in repr(found)
    assert store.session("never") is None
    assert store.revoke_session("token-1") is True
    assert store.revoke_session("token-1") is False
    assert [session.token_hash for session in store.sessions(user.id)] == ["token-3", "token-2", "token-0"]
    clock.time = found.expires_at
    assert store.session("token-0") is None, "over at that moment, not after it"
    assert store.session("token-2") is not None
    store.set_password(user.id, "hash-2")
    assert store.user(user.id).password_hash == "hash-2"
    assert store.sessions(user.id) == []
    assert store.revoke_sessions(other.id) == 1
    with pytest.raises(NotThere):
        store.set_password("nobody", "hash")


def test_an_account_goes_without_its_networks(store, clock):
    user = store.create_user("someone@gallery.example", "hash")
    network = store.create_network("ring", owner_id=user.id)
    store.create_session(user.id, "session", clock() + timedelta(days=1))
    store.create_api_token(user.id, "script", "token", ["read"])
    store.delete_user(user.id)
    assert store.network(network.id) == replace(network, owner_id=None)
    assert store.session("session") is None
    assert store.api_token("token") is None
    with pytest.raises(NotThere):
        store.delete_user(user.id)


def test_api_tokens_hold_until_they_are_over_or_revoked(store, clock):
    user = store.create_user("someone@gallery.example", "hash")
    made = store.create_api_token(user.id, "script", "h1", ["read", "run"], clock() + timedelta(hours=1))
    forever = store.create_api_token(user.id, "forever", "h2", [])
    assert made.last_used_at is None
    used = store.api_token("h1")
    assert used == replace(made, last_used_at=clock())
    assert used.scopes == ("read", "run")
    assert "h1" not in repr(used)
    clock.go(30)
    assert store.api_token("h1") == used, "its use is noted once a minute"
    clock.go(40)
    assert store.api_token("h1").last_used_at == clock()
    clock.go(3600)
    assert store.api_token("h1") is None
    assert store.api_token("h2").id == forever.id
    assert store.revoke_api_token(forever.id) is True
    assert store.revoke_api_token(forever.id) is False
    assert store.api_token("h2") is None
    assert sorted(names(store.api_tokens(user.id))) == ["forever", "script"]
    assert store.api_tokens("nobody") == []


def test_attempts_are_counted_within_their_window(store, clock):
    begin = clock()
    assert [store.add_attempt("login:a", 60).number for _ in range(3)] == [1, 2, 3]
    clock.go(59)
    counted = store.add_attempt("login:a", 60)
    assert (counted.number, counted.until) == (4, begin + timedelta(seconds=60))
    assert store.add_attempt("login:a", 3600).number == 1
    assert store.add_attempt("login:b", 60).number == 1
    assert store.attempts("login:a", 60) == counted
    clock.go(1)
    assert store.attempts("login:a", 60).number == 0
    assert store.add_attempt("login:a", 60).number == 1
    store.clear_attempts("login:a")
    assert store.attempts("login:a", 60).number == store.attempts("login:a", 3600).number == 0
    assert store.attempts("login:b", 60).number == 1
    with pytest.raises(BadValue, match="window_seconds"):
        store.add_attempt("login:a", 0)


def test_the_table_of_attempts_stays_small(store, clock):
    for number in range(30):
        clock.go(10)
        store.add_attempt(f"visitor:{number}", 15)
    with store._reads() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM attempts")).scalar_one() <= 2


def test_the_audit_log_is_read_backwards(store, clock):
    for number in range(5):
        store.audit("someone", "look", f"ring {number}", {"number": number} if number else None)
    latest = store.audit_log(limit=2)
    assert [entry.target for entry in latest] == ["ring 4", "ring 3"]
    assert (latest[0].actor, latest[0].action, latest[0].at, latest[0].details) == (
        "someone", "look", clock(), {"number": 4},
    )  # fmt: skip
    assert [entry.target for entry in store.audit_log(before=latest[-1].number)] == ["ring 2", "ring 1", "ring 0"]


def test_encrypted_keys_are_kept_byte_for_byte(store):
    assert store.secret("OPENAI_API_KEY") is None
    store.put_secret("OPENAI_API_KEY", b"\x00first\xff")
    store.put_secret("OPENAI_API_KEY", b"\x00second\xff")
    store.put_secret("GEMINI_API_KEY", b"x")
    assert store.secret("OPENAI_API_KEY") == b"\x00second\xff"
    assert store.secret_names() == ["GEMINI_API_KEY", "OPENAI_API_KEY"]
    assert store.delete_secret("OPENAI_API_KEY") is True
    assert store.delete_secret("OPENAI_API_KEY") is False
    assert store.secret_names() == ["GEMINI_API_KEY"]


def test_a_time_has_a_zone(store):
    user = store.create_user("someone@gallery.example", "hash")
    with pytest.raises(BadValue, match="time zone"):
        store.create_session(user.id, "token", datetime(2030, 1, 1))
    there = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=10)))
    found = store.create_session(user.id, "token", there)
    assert found.expires_at == there
    assert found.expires_at.utcoffset() == timedelta(0)
