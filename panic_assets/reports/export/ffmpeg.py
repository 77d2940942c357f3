"""The program ffmpeg: where it is, what it can encode, and a pipe of frames into it.

It is called as a program of its own, never linked: the copy in the wheel ``imageio-ffmpeg`` (extra ``video``; the
wheel's Python is BSD-2-Clause) is built with ``--enable-gpl --enable-version3`` and so under the GPL 3; builds of Linux
distributions are mostly under the GPL too. Nothing but video export needs it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from panic_assets.reports.export.common import ExportError


@dataclass(frozen=True)
class Codec:
    """A way to encode video: its name here, ffmpeg's encoder and the options of it. Lower qualities look better."""

    name: str
    encoder: str
    options: tuple[str, ...]
    quality: int


#: Which are tried in this order. H.264 plays everywhere; AV1 is smaller.
CODECS = {
    codec.name: codec
    for codec in (
        Codec("h264", "libx264", ("-preset", "medium"), 18),
        Codec("av1", "libsvtav1", ("-preset", "6"), 24),
    )
}
_REMEDY = "install the extra (pip install 'panic-assets[video]') or ffmpeg itself (apt install ffmpeg)"


def find_ffmpeg() -> str:
    """The program's path: that of the wheel ``imageio-ffmpeg`` if it is installed, else the system's.

    Raises:
        ExportError: there is none.
    """
    try:
        import imageio_ffmpeg  # type: ignore[import-untyped,unused-ignore]

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
    if found is None:
        raise ExportError(f"videos are written by ffmpeg, which is not here; {_REMEDY}")
    return found


def choose_codec(program: str, name: str | None = None) -> Codec:
    """The codec of that name, or the first that this ffmpeg can encode.

    Raises:
        ExportError: an unknown name, or this ffmpeg lacks the encoder.
    """
    if name is not None and name not in CODECS:
        raise ExportError(f"there is no codec {name!r}; there are {', '.join(CODECS)}")
    able = _encoders(program)
    here = [codec for codec in CODECS.values() if codec.encoder in able]
    wanted = [codec for codec in here if name in (None, codec.name)]
    if wanted:
        return wanted[0]
    asked = CODECS[name].encoder if name else " nor ".join(codec.encoder for codec in CODECS.values())
    other = f"take --codec {here[0].name}, or " if here else ""
    raise ExportError(f"{program} was built without {asked}; {other}{_REMEDY}")


def encode(
    program: str, codec: Codec, frames: Iterable[bytes], width: int, height: int, rate: float, title: str, path: Path
) -> None:
    """Write a video of frames, each ``height * width`` RGB pixels of three bytes, ``rate`` frames a second.

    Frames go through a pipe, one at a time. Width and height must be even, as yuv420p wants them. Colours are BT.709.
    Nothing of the machine or the time gets into the file.

    Raises:
        ExportError: ffmpeg failed; the message has the end of what it said.
    """
    command = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-framerate", f"{rate:g}", "-i", "-"]
    command += ["-an", "-c:v", codec.encoder, *codec.options, "-crf", str(codec.quality)]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"]
    command += ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"]
    command += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"]
    command += ["-metadata", f"title={title}", "-f", "mp4", str(path)]
    # A file takes what it says: a full pipe of errors would stop it while we are writing frames.
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        try:
            whole = _feed(process, frames)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code or not whole:
            raise ExportError(f"ffmpeg could not write the video (exit {code}): {_last_words(said)}\n{_told(command)}")


def _feed(process: subprocess.Popen[bytes], frames: Iterable[bytes]) -> bool:
    """Give all frames to the program; False if it stopped taking them."""
    pipe = process.stdin
    if pipe is None:
        raise AssertionError("a process started with a pipe has one")
    try:
        for frame in frames:
            pipe.write(frame)
        pipe.close()
    except BrokenPipeError:
        return False
    return True


def _encoders(program: str) -> set[str]:
    try:
        listed = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ExportError(f"{program} does not run ({error}); {_REMEDY}") from error
    rows = (line.split() for line in listed.stdout.splitlines())
    return {row[1] for row in rows if len(row) > 1 and row[0].startswith("V")}


def _last_words(said: IO[bytes], most: int = 800) -> str:
    said.seek(0)
    return said.read().decode(errors="replace").strip()[-most:] or "it said nothing"


def _told(command: Sequence[str]) -> str:
    return "the command was: " + " ".join(command)
