"""Boards: texts that fit them, and who is written when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.live.boards import NOTHING, Boards, board_text, in_codes
from panic_assets.live.records import Invocation, Watcher
from panic_assets.live.store import Store
from panic_assets_tests.live.rings import JumpingClock, Threads
from panic_assets_tests.live.stores import opened
from panic_assets_tests.live.test_displays import invocation

FLAPS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#$()-+&=;:'\"%,./?° 🟥🟧🟨🟩🟦🟪⬜⬛")
ODD = Watcher("flaps", "vestaboard", stride=2, offsets=(1,), board="panic_1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a red house", "A RED HOUSE"),
        ("“Él dijo…” — ¿qué?", "\"EL DIJO...\" - QUE?"),
        ("it’s naïve, Straße 5½", "IT'S NAIVE, STRASSE 5\n1/2"),
        ("Łódź, Ærø, œuvre, Þór", "LODZ, AERO, OEUVRE,\nTHOR"),
        ("🟥🟧🟨🟩🟦🟪⬜⬛ 🔴⚫️", "🟥🟧🟨🟩🟦🟪⬜⬛ 🟥⬛"),
        ("**bold** [x] {63} a_b 20°C", "BOLD (X) (63) A-B 20°C"),
        ("two 🦊 foxes 狐 here", "TWO FOXES HERE"),
        ("one\n\ntwo\r\n three", "ONE\nTWO\nTHREE"),
        ("1\n2\n3\n4\n5\n6\n7", "1 2 3 4 5 6 7"),
        ("", NOTHING),
        (" \n\t ", NOTHING),
        ("狐", NOTHING),
        ("x" * 30, "X" * 22 + "\n" + "X" * 8),
        ("fox " * 60, "\n".join(["FOX FOX FOX FOX FOX"] * 5 + ["FOX FOX FOX FOX FOX..."])),
        ("x" * 1000, "\n".join(["X" * 22] * 5 + ["X" * 19 + "..."])),
    ],
)  # fmt: skip
def test_a_text_on_the_flagship(text: str, shown: str) -> None:
    assert board_text(text) == shown


def test_a_text_on_the_note() -> None:
    assert (
        board_text("a red house by the sea, in the rain, at night", 3, 15)
        == "A RED HOUSE BY\nTHE SEA, IN THE\nRAIN, AT NIGHT"
    )
    assert board_text("a red house by the sea, in the rain, at night, alone", 3, 15).endswith("RAIN, AT...")


def test_centred_text_has_room_around_it() -> None:
    assert board_text("ab", 3, 6, centred=True) == "\n  AB"
    assert board_text("abc def", 6, 4, centred=True) == "\n\nABC\nDEF"


def test_colours_as_codes_and_nothing_else() -> None:
    assert in_codes(board_text("🟥 {64} ⬛")) == "{63} (64) {70}"


@given(st.text(max_size=400), st.integers(1, 6), st.integers(1, 22), st.booleans())
def test_any_text_fits_any_board(text: str, rows: int, columns: int, centred: bool) -> None:
    lines = board_text(text, rows, columns, centred).split("\n")
    assert len(lines) <= rows
    assert all(len(line) <= columns and set(line) <= FLAPS and line == line.rstrip() for line in lines)
    assert "".join(lines).strip()


@given(st.lists(st.sampled_from(["a", "fox", "sees", "mountains", "again"]), min_size=1, max_size=30))
def test_words_stay_whole_and_none_is_lost_that_fits(words: list[str]) -> None:
    shown = board_text(" ".join(words))
    told = shown.removesuffix("...").split()
    assert [word.lower() for word in told] == words[: len(told)]
    assert (len(told) < len(words)) == shown.endswith("...")


def test_a_word_of_megabytes_is_cut_at_once() -> None:
    assert board_text("x" * 5_000_000) == board_text("x" * 1000)


@dataclass
class Writer:
    """Remembers what was written; ``fails`` counts the writes that go wrong first."""

    fails: int = 0
    written: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, board: str, text: str) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError("the board does not answer")
        self.written.append((board, text))


@dataclass
class Scene:
    store: Store
    clock: JumpingClock
    writer: Writer
    boards: Boards
    network: str
    threads: Threads

    def shown(self, number: int, **more) -> Invocation:
        return invocation(number, **{"network_id": self.network, **more})

    async def settle(self) -> None:
        quiet = 0
        while quiet < 8:
            await asyncio.sleep(0.0005 if self.threads.busy else 0)
            quiet = 0 if self.threads.busy else quiet + 1


def play(folder: Path, act: Callable[[Scene], Awaitable[None]], *watchers: Watcher, fails: int = 0) -> None:
    async def whole() -> None:
        with opened("sqlite", folder) as store:
            clock, writer = JumpingClock(), Writer(fails)
            network = store.create_network("ring").id
            store.create_installation("hall", network, watchers)
            scene = Scene(store, clock, writer, Boards(store, writer, clock, rest_seconds=15), network, Threads())
            await scene.boards.refresh()
            try:
                await act(scene)
            finally:
                await scene.boards.close()

    asyncio.run(whole())


def test_what_a_watcher_says_is_written(tmp_path) -> None:
    async def act(scene: Scene) -> None:
        assert not scene.boards.show(scene.shown(0))
        assert not scene.boards.show(scene.shown(1, state="invoking"))
        assert not scene.boards.show(scene.shown(1, network_id="another"))
        assert scene.boards.show(scene.shown(1))
        assert scene.writer.written == []  # nobody waited for it
        await scene.settle()
        assert scene.writer.written == [("panic_1", "TEXT 2")]
        assert scene.boards.written == {"panic_1": 1}

    play(tmp_path, act, ODD, Watcher("wall", "grid", rows=1, columns=2))


def test_of_what_comes_while_a_board_rests_the_newest_is_written(tmp_path) -> None:
    async def act(scene: Scene) -> None:
        for number in (1, 3, 5, 7):
            assert scene.boards.show(scene.shown(number))
            await scene.settle()
        assert scene.writer.written == [("panic_1", "TEXT 2")]
        scene.clock.jump(14.9)
        await scene.settle()
        assert len(scene.writer.written) == 1
        scene.clock.jump(0.1)
        await scene.settle()
        assert scene.writer.written == [("panic_1", "TEXT 2"), ("panic_1", "TEXT 8")]
        scene.clock.jump(100)
        assert scene.boards.show(scene.shown(9))
        await scene.settle()
        assert scene.writer.written[2:] == [("panic_1", "TEXT 10")]

    play(tmp_path, act, ODD)


def test_the_prompt_is_written_once_though_it_is_told_at_each_state(tmp_path) -> None:
    async def act(scene: Scene) -> None:
        assert scene.boards.show(scene.shown(0, state="ready"))
        assert not scene.boards.show(scene.shown(0, state="ready"))
        await scene.settle()
        assert not scene.boards.show(scene.shown(0, state="completed"))
        assert scene.writer.written == [("panic_1", "TEXT 0")]

    play(tmp_path, act, replace(ODD, initial_prompt=True))


def test_boards_do_not_wait_for_each_other_and_have_their_own_size(tmp_path) -> None:
    async def act(scene: Scene) -> None:
        long = scene.shown(1, output_text="a red house by the sea")
        assert scene.boards.show(long)
        await scene.settle()
        assert scene.writer.written == [("panic_1", "A RED HOUSE BY THE SEA"), ("note", "A RED HOUSE BY\nTHE SEA")]

    play(tmp_path, act, ODD, replace(ODD, name="small", board="note", rows=3, columns=15))


def test_a_board_that_fails_is_counted_and_told_the_next_text(tmp_path, caplog) -> None:
    async def act(scene: Scene) -> None:
        assert scene.boards.show(scene.shown(1))
        await scene.settle()
        assert scene.boards.failed == {"panic_1": 1}
        assert "board panic_1 was not written (1 times so far): the board does not answer" in caplog.text
        assert scene.boards.show(scene.shown(1))  # it is not there yet
        scene.clock.jump(15)
        await scene.settle()
        assert scene.writer.written == [("panic_1", "TEXT 2")]

    play(tmp_path, act, ODD, fails=1)


def test_a_changed_installation_is_seen_after_a_refresh_or_a_while(tmp_path) -> None:
    async def act(scene: Scene) -> None:
        (hall,) = scene.store.installations()
        scene.store.add_watcher(hall.id, ODD)
        await scene.boards.refresh()
        assert scene.boards.show(scene.shown(1))
        await scene.settle()
        scene.store.add_watcher(hall.id, replace(ODD, name="second", board="panic_2"))
        assert scene.boards.show(scene.shown(3))  # of panic_1: another server's change is not known yet
        scene.clock.jump(3)
        assert not scene.boards.show(scene.shown(0))
        await scene.settle()
        assert scene.boards.show(scene.shown(5))
        await scene.settle()
        assert scene.writer.written == [("panic_1", "TEXT 2"), ("panic_2", "TEXT 6")]
        scene.store.update_installation(hall.id, network_id=scene.store.create_network("other").id)
        await scene.boards.refresh()
        assert not scene.boards.show(scene.shown(7))

    play(tmp_path, act)


def test_installations_that_can_not_be_read_leave_boards_as_they_were(tmp_path, caplog) -> None:
    async def act(scene: Scene) -> None:
        scene.store.close()
        (tmp_path / "live" / "live.db").unlink()
        scene.clock.jump(10)
        assert scene.boards.show(scene.shown(1))
        await scene.settle()
        assert "boards go on as before" in caplog.text
        assert scene.writer.written == [("panic_1", "TEXT 2")]

    play(tmp_path, act, ODD)


def test_nothing_is_written_after_the_end(tmp_path) -> None:
    async def act(scene: Scene) -> None:
        scene.boards.show(scene.shown(1))
        await scene.settle()
        scene.boards.show(scene.shown(3))
        await scene.settle()
        await scene.boards.close()
        scene.clock.jump(100)
        await scene.settle()
        assert scene.writer.written == [("panic_1", "TEXT 2")]

    play(tmp_path, act, ODD)
