"""Videos: what frames show, and what a real ffmpeg makes of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from panic_assets.dynamics.corpus import Run
from panic_assets.lake import Lake
from panic_assets.loop.pictures import PictureShelf
from panic_assets.reports.export import ffmpeg
from panic_assets.reports.export.common import ExportError, load_runs
from panic_assets.reports.export.layout import SIZES, Box
from panic_assets.reports.export.mosaic import Moment, Mosaic, moment
from panic_assets.reports.export.video import export_video, few_of_each, frames
from panic_assets_tests.reports.export.parts import NAME, near

HD = SIZES["hd"]


def a_run(number: int = 0, outputs: Sequence[str | bytes] = (), reason: str | None = "length", **values: object) -> Run:
    given = {
        "network": "A -> B",
        "models": ("A", "B"),
        "prompt_number": 0,
        "prompt": "a cat",
        "seed": 1,
        "replicate": 0,
    }
    cycle = {"transient_length": None, "cycle_length": 2 if reason == "cycle" else None}
    return Run(number=number, stop_reason=reason, outputs=tuple(outputs), **(given | cycle | values))  # type: ignore[arg-type]


def part(frame: bytes, box: Box) -> np.ndarray:
    """The middle of a tile, where neither caption nor mark is."""
    pixels = np.frombuffer(frame, np.uint8).reshape(HD.height, HD.width, 3)
    quarter = box.width // 4
    return pixels[box.top + quarter : box.top + 2 * quarter, box.left + quarter : box.left + 3 * quarter]


def colour(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, np.uint8)


def test_a_text_keeps_the_picture_and_an_ended_run_its_last() -> None:
    made = a_run(outputs=[b"x", "said", b"y", "more"])
    assert [moment(made, step) for step in range(6)] == [
        Moment(b"x", None, False),
        Moment(b"x", "said", False),
        Moment(b"y", None, False),
        Moment(b"y", "more", True),
        Moment(b"y", None, True),
        Moment(b"y", None, True),
    ]
    # Without pictures the last text stays.
    texts = a_run(outputs=["one", "two"])
    assert [moment(texts, step).text for step in range(4)] == ["one", "two", "two", "two"]


def test_frames_keep_pictures_through_text_steps_and_after_the_end() -> None:
    runs = [
        a_run(0, [b"x", "said", b"y", "more", b"x", "so"]),
        a_run(1, [b"x", "said", b"y"], reason="cycle"),
    ]
    pictures = {b"x": colour(60), b"y": colour(200)}
    mosaic = Mosaic("t", runs, HD)
    shown = [mosaic.frame(step, pictures) for step in range(mosaic.steps)]
    first, second = (tile.box for tile in mosaic.tiles)
    assert [int(part(frame, first).mean()) for frame in shown] == [60, 60, 200, 200, 60, 60]
    assert [int(part(frame, second).mean()) for frame in shown] == [60, 60, 200, 200, 200, 200]
    # What is said, and that the run ended, is seen beside the middle.
    assert shown[0] != shown[1]
    corner = Box(second.left + second.width // 2, second.top, second.width // 2, 20)
    whole = [np.frombuffer(frame, np.uint8).reshape(HD.height, HD.width, 3) for frame in shown]
    corners = [frame[corner.top : corner.top + 20, corner.left : corner.left + corner.width] for frame in whole]
    assert corners[1].std() == 0
    assert corners[2].std() > 0
    assert np.array_equal(corners[2], corners[5])


def test_frames_are_the_same_each_time(lake: Lake) -> None:
    def all_frames() -> list[bytes]:
        runs = load_runs(lake, NAME).runs
        return list(frames(Mosaic(NAME, runs, HD), PictureShelf(lake, NAME)))

    once = all_frames()
    assert once == all_frames()
    assert len(once) == 12
    assert len(set(once)) == 12  # the step is told on each


def test_many_small_tiles_are_drawn() -> None:
    """Tiles too small for words have marks instead; labels are cut to the widths of their blocks."""
    long = "Alpha -> Beta -> Gamma -> Delta -> " + "Epsilon" * 9
    runs = [
        a_run(number, [b"x", "said"], prompt_number=number % 5, prompt="word " * 60, network=f"{long}{number % 9}")
        for number in range(180)
    ]
    mosaic = Mosaic("t" * 500, runs, HD)
    pictures = {b"x": colour(99)}
    for step in range(2):
        frame = mosaic.frame(step, pictures)
        assert all(int(np.median(part(frame, tile.box))) == 99 for tile in mosaic.tiles)


def test_pictures_of_other_shapes_keep_their_proportions() -> None:
    mosaic = Mosaic("t", [a_run(0, [b"x"])], HD, aspect=2.0)
    wide = np.zeros((10, 20, 3), np.uint8)
    wide[:, 10:] = 255
    frame = mosaic.frame(0, {b"x": wide})
    box = mosaic.tiles[0].box
    assert box.width == pytest.approx(2 * box.height, abs=1)
    pixels = np.frombuffer(frame, np.uint8).reshape(HD.height, HD.width, 3)
    row = pixels[box.top + box.height // 2, box.left : box.left + box.width]
    assert int(row[: box.width // 3].max()) < 20
    assert int(row[-box.width // 3 :].min()) > 235


def test_few_of_each_takes_the_first() -> None:
    runs = [a_run(number, network="A" if number % 2 else "B") for number in range(6)]
    assert [run.number for run in few_of_each(runs, 1)] == [0, 1]
    assert few_of_each(runs, None) == runs


def program() -> str:
    try:
        return ffmpeg.find_ffmpeg()
    except ExportError as error:
        pytest.skip(str(error))


def decoded(path: Path) -> np.ndarray:
    """All frames of a video, uint8 (n, height, width, 3)."""
    command = [program(), "-loglevel", "error", "-i", str(path)]
    command += ["-vf", "scale=in_color_matrix=bt709:in_range=tv", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, HD.height, HD.width, 3)


@pytest.mark.parametrize("codec", list(ffmpeg.CODECS))
def test_a_video_has_a_frame_for_each_step_with_its_pictures(lake: Lake, codec: str, tmp_path: Path) -> None:
    try:
        ffmpeg.choose_codec(program(), codec)
    except ExportError as error:
        pytest.skip(str(error))
    told: list[tuple[int, int]] = []
    path = export_video(
        lake, NAME, tmp_path / "deep" / "film.mp4", codec=codec, progress=lambda *counts: told.append(counts)
    )
    assert told == [(step, 12) for step in range(13)]
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]
    runs = [run for run in load_runs(lake, NAME).runs if run.outputs]
    mosaic = Mosaic(NAME, runs, HD)
    shelf = PictureShelf(lake, NAME)
    drawn = list(frames(mosaic, shelf))
    seen = decoded(path)
    assert len(seen) == len(drawn) == 12
    for frame, given in zip(seen, drawn, strict=True):
        assert near(frame, np.frombuffer(given, np.uint8).reshape(frame.shape), 4.0)
    # A step that makes a text keeps the picture; a run that ended keeps its last.
    tile = next(tile for tile in mosaic.tiles if tile.run.seed == 7 and isinstance(tile.run.outputs[0], bytes))
    assert isinstance(tile.run.outputs[1], str)
    assert near(part(seen[1].tobytes(), tile.box), part(seen[0].tobytes(), tile.box), 3.0)
    last = len(tile.run.outputs) - 1
    assert tile.run.stop_reason == "cycle"
    assert last < 10
    for step in range(last + 1, 12):
        assert near(part(seen[step].tobytes(), tile.box), part(seen[last].tobytes(), tile.box), 3.0)
        assert part(seen[step].tobytes(), tile.box).std() > 1  # not blank


def test_what_cannot_be_is_told(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, name: str = NAME, file: str = "x.mp4", **values: object) -> None:
        with pytest.raises(ExportError, match=match):
            export_video(lake, name, tmp_path / file, **values)  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())

    refused("there is no size '2k'; there are hd, 4k, 8k", size="2k")
    refused("0 frames a second", rate=0)
    refused("suffix", file="x.avi")
    program()
    refused("holds no runs of an experiment 'other'; there are: small", name="other")
    refused("no codec 'vhs'", codec="vhs")
    monkeypatch.setitem(ffmpeg.CODECS, "h264", ffmpeg.Codec("h264", "libx264", ("-preset", "nonsense"), 18))
    refused("(?s)ffmpeg could not write the video .*nonsense", codec="h264")
    monkeypatch.setitem(ffmpeg.CODECS, "h264", ffmpeg.Codec("h264", "libabsent", (), 18))
    refused("was built without libabsent", codec="h264")


def test_without_ffmpeg_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ExportError, match=r"which is not here; install the extra \(pip install 'panic-assets\[video\]'\)"
    ):
        ffmpeg.find_ffmpeg()


def test_a_frame_that_fails_ends_ffmpeg_and_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield bytes(64 * 64 * 3)
        raise ValueError("no picture")

    able = program()
    with pytest.raises(ValueError, match="no picture"):
        ffmpeg.encode(able, ffmpeg.choose_codec(able), broken(), 64, 64, 2, "t", tmp_path / "x.mp4")  # type: ignore[arg-type]
