"""Sounds on their way into the archive: any common format becomes Opus in Ogg, or MP3.

Here belongs calling ffmpeg, a program of its own that is never linked, with a limit of time. What strangers send is
decoded as what its first bytes say; a list of other files to be opened is none of these.
"""

from __future__ import annotations

import logging
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from panic_assets.errors import PanicError
from panic_assets.live.archive.converted import ENDINGS, Converted
from panic_assets.live.archive.errors import ArchiveError, Undecodable

Format = Literal["opus", "mp3"]
#: ffmpeg's demuxer by media type.
_DEMUXERS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/mp4": "mov",
    "audio/webm": "matroska",
    "audio/aiff": "aiff",
}
_ENCODERS: dict[Format, tuple[str, tuple[str, ...], str]] = {
    "opus": ("audio/ogg", ("-c:a", "libopus", "-b:a", "96k"), "ogg"),
    "mp3": ("audio/mpeg", ("-c:a", "libmp3lame", "-b:a", "64k"), "mp3"),
}
_SECONDS = 120.0
_TIME = re.compile(rb"^out_time_us=(\d+)", re.MULTILINE)
_LACKS = re.compile(rb"unknown (de|en)coder|encoder not found|unknown input format", re.IGNORECASE)
_log = logging.getLogger(__name__)


def find_ffmpeg() -> str:
    """The program, found as for videos.

    Raises:
        PanicError: there is none.
    """
    from panic_assets.reports.export import ffmpeg

    return ffmpeg.find_ffmpeg()


def convert(data: bytes, media_type: str, format: Format = "opus", find: Callable[[], str] = find_ffmpeg) -> Converted:
    """The sound as it will be kept; ``media_type`` is what its bytes say. Opus stays as it is.

    Where ``find`` finds no ffmpeg, or one without the encoder, the original is kept if browsers play it, unchecked and
    of unknown length, and the log says so.

    Raises:
        Undecodable: not a whole sound, or one without any length.
        ArchiveError: there is no ffmpeg and browsers don't play it.
    """
    try:
        program = find()
    except PanicError as error:
        return _as_it_is(data, media_type, str(error))
    is_opus = media_type == "audio/ogg" and data[28:36] == b"OpusHead"
    kind, encoder, muxer = _ENCODERS[format]
    with tempfile.TemporaryDirectory(prefix="panic-sound-") as folder:
        given, made = Path(folder, "given"), Path(folder, "made")
        given.write_bytes(data)
        told = ("-f", "null", "-") if is_opus else (*encoder, "-f", muxer, str(made))
        command = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-nostats", "-progress", "pipe:1"]
        command += ["-protocol_whitelist", "file,pipe", "-f", _DEMUXERS[media_type], "-i", str(given), "-map", "0:a:0"]
        command += ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact", *told]
        try:
            ran = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise ArchiveError("permanent", f"the sound took ffmpeg more than {_SECONDS:g} seconds") from None
        except OSError as error:
            return _as_it_is(data, media_type, f"{program} does not run: {error}")
        if ran.returncode and _LACKS.search(ran.stderr):
            return _as_it_is(data, media_type, f"{program} can't write {format}: {_last_words(ran.stderr, folder)}")
        times = _TIME.findall(ran.stdout)
        seconds = int(times[-1]) / 1e6 if times else 0.0
        if ran.returncode or seconds <= 0:
            raise Undecodable(f"the sound can't be decoded: {_last_words(ran.stderr, folder)}")
        if is_opus:
            return Converted(data, media_type, seconds=seconds)
        return Converted(made.read_bytes(), kind, seconds=seconds)


def _as_it_is(data: bytes, media_type: str, why: str) -> Converted:
    if media_type not in ENDINGS:
        raise ArchiveError("permanent", f"a sound of type {media_type} can't be kept as it is, and {why}")
    _log.warning("a sound is kept as it came (%s): %s", media_type, why)
    return Converted(data, media_type)


def _last_words(said: bytes, folder: str) -> str:
    return said.decode(errors="replace").replace(folder, "").strip()[-300:] or "it has no length"
