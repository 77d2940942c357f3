"""The archive: what is fetched, what is refused, what pictures and sounds become, and how they are kept."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import ipaddress
import logging
import zlib
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from panic_assets.errors import PanicError
from panic_assets.live.archive import Archive, ArchiveError, NoSuchMedium, pictures
from panic_assets.live.archive.addresses import is_public
from panic_assets.live.archive.fetching import Bounds
from panic_assets.live.archive.pictures import MOST_SIDE
from panic_assets.live.media import picture, sniff, tone
from panic_assets.live.platforms.base import Answer, Call
from panic_assets.live.platforms.http import certificates
from panic_assets.live.records import Limits
from panic_assets.live.values import Archived, Value
from panic_assets_tests.live.platforms.parts import SwiftClock
from panic_assets_tests.live.rings import stage
from panic_assets_tests.live.sites import Site, certificate, content, hanging, opened_site, status, unending
from panic_assets_tests.live.stores import opened

Result = TypeVar("Result")
DIGEST = bytes(range(16))
PNG = picture(DIGEST, "png")
SOUND = tone(DIGEST)
NOBODY = "ab/" + "ab" * 32 + ".webp"


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    made = io.BytesIO()
    image.save(made, format=format, **options)
    return made.getvalue()


def photo(width: int = 300, height: int = 200) -> Image.Image:
    """A picture of more colours than a drawing has."""
    rng = np.random.default_rng(7)
    steps = rng.normal(size=(height, width, 3)).cumsum(0).cumsum(1)
    low, high = steps.min(), steps.max()
    return Image.fromarray(((steps - low) / (high - low) * 255).astype(np.uint8))


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def image(data: bytes) -> Value:
    return Value("image", data=data)


def sound(data: bytes) -> Value:
    return Value("audio", data=data)


@pytest.fixture
def site() -> Iterator[Site]:
    with opened_site() as opened_one:
        yield opened_one


@pytest.fixture(params=["folder", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    url = str(tmp_path / "media") if request.param == "folder" else f"memory://{tmp_path.name}"
    return Archive(url, allow_private=True, clock=SwiftClock())


def failing(archive: Archive, value: Value) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        run(archive.keep(value))
    return caught.value


# Kept and read again


def test_a_picture_is_fetched_made_small_and_read_again(archive: Archive, site: Site, tmp_path: Path) -> None:
    source = encoded(photo(), "PNG")
    url = site.plays("/out.png", content(source, Content_Type="text/plain"))
    kept = run(archive.keep(Value("image", url=url)))
    data = run(archive.read(kept.key))
    assert (kept.media_type, kept.original_type) == ("image/webp", "image/png")
    assert (kept.width, kept.height, kept.seconds) == (300, 200, None)
    assert (kept.sha256, kept.byte_size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (kept.original_sha256, kept.original_bytes) == (hashlib.sha256(source).hexdigest(), len(source))
    assert kept.key == f"{kept.sha256[:2]}/{kept.sha256}.webp"
    assert len(data) < len(source) / 3
    assert np.abs(decoded(data) - decoded(source)).mean() < 4
    assert site.asked[0][1]["host"] == site.url.removeprefix("http://")


def test_a_sound_is_fetched_and_made_small(archive: Archive, site: Site) -> None:
    kept = run(archive.keep(Value("audio", url=site.plays("/a.wav", content(SOUND)))))
    data = run(archive.read(kept.key))
    assert (kept.media_type, kept.original_type, kept.key[-4:]) == ("audio/ogg", "audio/wav", ".ogg")
    assert (data[:4], data[28:36]) == (b"OggS", b"OpusHead")
    assert len(data) < len(SOUND)
    assert kept.seconds == pytest.approx(0.75, abs=0.05)


def test_keeping_the_same_again_changes_nothing(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    for value in (image(PNG), sound(SOUND)):
        first = run(archive.keep(value))
        before = archive.path(first.key).stat()
        assert run(archive.keep(value)) == first
        after = archive.path(first.key).stat()
        assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert not list(tmp_path.rglob("*.part"))


def test_many_at_a_time_are_each_kept_once(archive: Archive) -> None:
    async def act() -> set[str]:
        values = [image(picture(bytes([number % 3]) * 16, "png")) for number in range(24)] + [sound(SOUND)] * 6
        return {kept.key for kept in await asyncio.gather(*map(archive.keep, values))}

    keys = run(act())
    assert len(keys) == 4
    assert all(run(archive.exists(key)) for key in keys)


def test_a_damaged_file_is_told_and_replaced(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    kept = run(archive.keep(image(PNG)))
    whole = archive.path(kept.key).read_bytes()
    archive.path(kept.key).write_bytes(whole[:-1])
    with pytest.raises(ArchiveError, match="is damaged") as caught:
        run(archive.read(kept.key))
    assert caught.value.kind == "permanent"
    run(archive.keep(image(PNG)))
    assert run(archive.read(kept.key)) == whole


def test_parts_sizes_and_places(archive: Archive, tmp_path: Path) -> None:
    kept = run(archive.keep(image(PNG)))
    whole = run(archive.read(kept.key))
    assert run(archive.open_range(kept.key)) == whole
    assert run(archive.open_range(kept.key, 3, 10)) == whole[3:10]
    assert run(archive.open_range(kept.key, len(whole) - 2)) == whole[-2:]
    assert run(archive.open_range(kept.key, 5, 5)) == b""
    assert run(archive.open_range(kept.key, 0, 10**9)) == whole
    assert run(archive.size(kept.key)) == len(whole)
    assert run(archive.exists(kept.key))
    assert archive.path(kept.key) in (None, tmp_path / "media" / kept.key)
    with pytest.raises(ValueError, match="from the beginning"):
        run(archive.open_range(kept.key, -1))


@pytest.mark.parametrize(
    "key", [NOBODY, "", "../../etc/passwd", "ab/../x.webp", NOBODY.upper(), "cd" + NOBODY[2:], NOBODY + "/"]
)
def test_a_key_that_is_none_leads_nowhere(archive: Archive, key: str) -> None:
    assert not run(archive.exists(key))
    assert archive.path(key) is None
    for work in (archive.read(key), archive.size(key), archive.open_range(key)):
        with pytest.raises(NoSuchMedium):
            run(work)


def test_a_store_is_told_of_each_medium(tmp_path: Path) -> None:
    with opened("sqlite", tmp_path) as store:
        kept = run(Archive(f"memory://{tmp_path.name}", store).keep(image(PNG)))
        assert store.media(kept.key) == kept


def test_an_archive_that_can_not_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    clock = SwiftClock()
    error = failing(Archive(str(tmp_path / "file"), clock=clock), image(PNG))
    assert error.kind == "transient"
    assert str(tmp_path / "file") in str(error)
    assert len(clock.slept) == 3
    with pytest.raises(ArchiveError, match="nowhere-at-all") as caught:
        Archive("nowhere-at-all://user:secret@host/x")
    assert "secret" not in str(caught.value)


# Fetched or refused


@pytest.mark.parametrize("code", [401, 403, 404, 410, 418])
def test_what_is_gone_is_not_asked_for_again(archive: Archive, site: Site, code: int) -> None:
    error = failing(archive, Value("image", url=site.plays("/x.png", status(code)) + "?signature=secret"))
    assert (error.kind, len(site.asked)) == ("permanent", 1)
    assert str(code) in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("code", [408, 425, 429, 500, 503])
def test_what_may_come_later_is_asked_for_again(tmp_path: Path, site: Site, code: int) -> None:
    clock = SwiftClock()
    archive = Archive(str(tmp_path), allow_private=True, clock=clock)
    url = site.plays("/x.png", status(code), status(code), content(PNG))
    assert run(archive.keep(Value("image", url=url))).original_bytes == len(PNG)
    assert clock.slept == [0.5, 1.0]
    site.plays("/x.png", status(code))
    assert failing(archive, Value("image", url=url)).kind == "transient"
    assert clock.slept == [0.5, 1.0, 0.5, 1.0, 2.0]


def test_a_line_that_breaks_is_tried_again(archive: Archive, site: Site) -> None:
    url = site.plays("/x.png", content(PNG[:300], length=len(PNG)), content(PNG))
    assert run(archive.keep(Value("image", url=url))).original_sha256 == hashlib.sha256(PNG).hexdigest()
    assert len(site.asked) == 2


def test_a_length_that_is_too_short_cuts_and_is_tried_again(archive: Archive, site: Site) -> None:
    url = site.plays("/x.png", content(PNG, length=300), content(PNG))
    assert run(archive.keep(Value("image", url=url))).original_bytes == len(PNG)
    site.plays("/x.png", content(PNG, length=300))
    error = failing(archive, Value("image", url=url))
    assert (error.kind, "can't be decoded" in str(error)) == ("transient", True)


def test_an_empty_answer_and_a_closed_door_may_pass(archive: Archive, site: Site) -> None:
    assert failing(archive, Value("image", url=site.plays("/x.png", content(b"")))).kind == "transient"
    assert failing(archive, Value("image", url="http://127.0.0.1:1/x.png")).kind == "transient"
    assert failing(archive, Value("image", url="http://nowhere.invalid/x.png")).kind == "transient"


@pytest.mark.parametrize("bounds", [Bounds(read_seconds=0.1), Bounds(total_seconds=0.1)])
def test_a_slow_answer_is_not_waited_for(tmp_path: Path, site: Site, bounds: Bounds) -> None:
    archive = Archive(str(tmp_path), allow_private=True, clock=SwiftClock(), bounds=bounds)
    error = failing(archive, Value("image", url=site.plays("/x.png", hanging(site, PNG[:100]))))
    assert (error.kind, "too slow" in str(error)) == ("transient", True)


@pytest.mark.parametrize("data", [b"<!DOCTYPE html><p>Your link has expired", b"{}", b"\x00" * 64, SOUND, b"<svg/>"])
def test_what_is_no_picture_is_refused_whatever_its_header_says(archive: Archive, site: Site, data: bytes) -> None:
    error = failing(archive, Value("image", url=site.plays("/x.png", content(data, Content_Type="image/png"))))
    assert (error.kind, len(site.asked)) == ("permanent", 1)
    assert "image was expected" in str(error)


def test_what_is_too_large_is_refused_when_it_is_told_when_it_comes_and_when_it_unpacks(
    tmp_path: Path, site: Site
) -> None:
    archive = Archive(str(tmp_path), allow_private=True, clock=SwiftClock(), bounds=Bounds(most_bytes=100_000))
    bomb = gzip.compress(PNG + b"\0" * 30_000_000)
    assert len(bomb) < 100_000
    pages = [
        content(PNG, length=100_001),
        unending(PNG),
        content(bomb, Content_Encoding="gzip"),
    ]
    for number, page in enumerate(pages):
        error = failing(archive, Value("image", url=site.plays(f"/{number}.png", page)))
        assert (error.kind, "more than 100,000 bytes" in str(error)) == ("permanent", True)
    assert failing(archive, image(PNG + b"\0" * 100_000)).kind == "permanent"


def test_what_is_packed_is_unpacked_or_refused(archive: Archive, site: Site) -> None:
    for encoding, packed in (("gzip", gzip.compress(PNG)), ("deflate", zlib.compress(PNG)), ("identity", PNG)):
        url = site.plays("/x.png", content(packed, Content_Encoding=encoding))
        assert run(archive.keep(Value("image", url=url))).original_bytes == len(PNG)
    assert {headers["accept-encoding"] for _, headers in site.asked} == {"identity"}
    error = failing(archive, Value("image", url=site.plays("/x.png", content(PNG, Content_Encoding="zstd"))))
    assert error.kind == "permanent"
    half = site.plays("/x.png", content(gzip.compress(PNG)[:200], Content_Encoding="gzip"))
    assert failing(archive, Value("image", url=half)).kind == "transient"


def test_queries_go_along_and_leave_no_trace(archive: Archive, site: Site) -> None:
    url = site.plays("/picture.png", content(PNG)) + "?X-Amz-Expires=3600&name=evil.exe"
    kept = run(archive.keep(Value("image", url=url)))
    assert site.asked[0][0] == "/picture.png?X-Amz-Expires=3600&name=evil.exe"
    assert kept.key.endswith(".webp")


def test_redirects_are_followed_so_far(archive: Archive, site: Site) -> None:
    site.plays("/end.png", content(PNG))
    for number in range(1, 7):
        site.plays(f"/{number}", status(302, Location=f"/{number - 1}" if number > 1 else site.url + "/end.png"))
    assert run(archive.keep(Value("image", url=site.url + "/5"))).original_bytes == len(PNG)
    error = failing(archive, Value("image", url=site.url + "/6"))
    assert (error.kind, "more than 5 times" in str(error)) == ("permanent", True)
    for away in ("file:///etc/passwd", "ftp://example.org/x"):
        assert failing(archive, Value("image", url=site.plays("/away", status(301, Location=away)))).kind == "permanent"


# Put together, because no address of anybody's own network is to stand in this tree.
_TEN, _SEVENTEEN, _NINETEEN = (
    ".".join(parts) for parts in (["10", "0", "0", "1"], ["172", "16", "9", "9"], ["192", "168", "1", "1"])
)
INSIDE = ["127.0.0.1", "[::1]", _TEN, "169.254.169.254", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"]


@pytest.mark.parametrize("host", [*INSIDE, "localhost"])
def test_private_addresses_are_refused(tmp_path: Path, host: str) -> None:
    error = failing(Archive(str(tmp_path)), Value("image", url=f"http://{host}/x.png"))
    assert (error.kind, "inside a private network" in str(error)) == ("permanent", True)


def test_a_redirect_into_the_house_is_refused_before_it_is_asked(tmp_path: Path, site: Site) -> None:
    secret = site.plays("/secret.png", content(PNG)).replace("127.0.0.1", "127.0.0.2")
    archive = Archive(str(tmp_path), allow_private=["127.0.0.1/32", "fc00::/7"], clock=SwiftClock())
    error = failing(archive, Value("image", url=site.plays("/door", status(302, Location=secret))))
    assert (error.kind, "127.0.0.2, inside a private network" in str(error)) == ("permanent", True)
    assert [path for path, _ in site.asked] == ["/door"]
    with pytest.raises(ArchiveError, match="allow_private"):
        Archive(str(tmp_path), allow_private=["the house"])


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((host, False) for host in ("127.0.0.1", "::1", _TEN, "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0")),
        *((host, False) for host in (_SEVENTEEN, _NINETEEN, "100.64.0.1", "224.0.0.1", "255.255.255.255")),
        *((host, False) for host in ("fe80::1", "fc00::1", "64:ff9b::a00:1", "2002:a00:1::1", "ff02::1", "::")),
        *((host, True) for host in ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8")),
    ],
)
def test_which_addresses_are_of_the_open_internet(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "value",
    [
        Value("image", url="file:///etc/passwd"),
        Value("image", url="ftp://example.org/x.png"),
        Value("image", url="data:image/png;base64,AAAA"),
        Value("image", url="http://user:word@example.org/x.png"),
        Value("image", url="not an address"),
        Value("image", url="http://example.org:70000/x.png"),
        Value("image", url=""),
        Value("image"),
        Value("text", text="a red house"),
        Value("image", data=b""),
    ],
)
def test_what_can_not_be_fetched_is_said_at_once(tmp_path: Path, value: Value) -> None:
    error = failing(Archive(str(tmp_path)), value)
    assert error.kind == "permanent"
    assert "word" not in str(error).replace("password", "")


def test_https_asks_for_the_name_at_the_address_that_was_checked() -> None:
    from panic_assets.live.archive.addresses import Place, parsed

    place = Place(parsed("https://bücher.example:8443/a?b=c"), ("192.0.2.7", "2001:db8::7"))
    client = httpx2.AsyncClient()
    first, second = place.requests(client)
    assert str(first.url) == "https://192.0.2.7:8443/a?b=c"
    assert str(second.url) == "https://[2001:db8::7]:8443/a?b=c"
    assert first.headers["Host"] == second.headers["Host"] == "xn--bcher-kva.example:8443"
    assert first.extensions["sni_hostname"] == "xn--bcher-kva.example"


@pytest.mark.parametrize(("name", "is_right"), [("localhost", True), ("elsewhere.example", False)])
def test_https_wants_the_certificate_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_right: bool
) -> None:
    shows = certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(shows))
    certificates.cache_clear()
    try:
        with opened_site(shows) as site:
            archive = Archive(str(tmp_path), allow_private=True, clock=SwiftClock())
            value = Value("image", url=site.plays("/x.png", content(PNG)).replace("127.0.0.1", "localhost"))
            if is_right:
                assert run(archive.keep(value)).original_bytes == len(PNG)
            else:
                assert "certificate" in str(failing(archive, value))
                assert site.asked == []
    finally:
        certificates.cache_clear()


# Pictures


def kept_picture(data: bytes, folder: Path, **options: Any) -> tuple[Archived, Image.Image]:
    archive = Archive(str(folder), **options)
    kept = run(archive.keep(image(data)))
    shown = Image.open(archive.path(kept.key))
    shown.load()
    assert shown.size == (kept.width, kept.height)
    assert sniff(run(archive.read(kept.key))) == kept.media_type
    return kept, shown


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "AVIF"])
def test_any_common_format_becomes_webp_or_avif(tmp_path: Path, format: str) -> None:
    data = encoded(photo(), format)
    kept, _ = kept_picture(data, tmp_path)
    assert kept.media_type == "image/webp"
    kept, _ = kept_picture(data, tmp_path, image_format="avif")
    assert kept.media_type == "image/avif"
    assert (kept.original_sha256 == kept.sha256) is (format == "AVIF")


def test_webp_stays_as_it_is(tmp_path: Path) -> None:
    for data in (encoded(photo(), "WEBP"), picture(DIGEST)):
        kept, _ = kept_picture(data, tmp_path)
        assert kept.sha256 == kept.original_sha256 == hashlib.sha256(data).hexdigest()


def test_drawings_stay_exact_and_photographs_become_smaller(tmp_path: Path) -> None:
    drawing = Image.new("RGB", (700, 500), "white")
    drawing.paste("red", (100, 100, 300, 200))
    for lossless in (encoded(drawing, "PNG"), PNG):
        _, shown = kept_picture(lossless, tmp_path)
        assert (decoded(lossless) == np.asarray(shown.convert("RGB"))).all()
    _, shown = kept_picture(encoded(photo(), "PNG"), tmp_path)
    assert not (np.asarray(photo()) == np.asarray(shown)).all()


def test_animations_show_what_the_next_model_sees(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    for format in ("GIF", "WEBP", "PNG"):
        kept, shown = kept_picture(encoded(frames[0], format, save_all=True, append_images=frames[1:]), tmp_path)
        assert (kept.media_type, getattr(shown, "n_frames", 1)) == ("image/webp", 1)
        assert np.abs(np.asarray(shown.convert("RGB")).astype(int) - (255, 0, 0)).max() < 12


def test_pictures_are_turned_upright_and_lose_what_came_along(tmp_path: Path) -> None:
    wide = Image.new("RGB", (80, 40), "red")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where it was taken"
    for format in ("JPEG", "WEBP", "PNG"):
        kept, shown = kept_picture(encoded(wide, format, exif=exif), tmp_path)
        assert (kept.width, kept.height) == (40, 80)
        assert not shown.getexif()
        assert b"where it was taken" not in run(Archive(str(tmp_path)).read(kept.key))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_damage_in_what_came_along_does_not_matter(tmp_path: Path, format: str) -> None:
    kept, _ = kept_picture(encoded(photo(), format, exif=b"Exif\0\0no tags at all"), tmp_path)
    assert (kept.width, kept.height) == (300, 200)


def test_cmyk_grey_of_16_bits_palettes_and_transparency(tmp_path: Path) -> None:
    red = (230, 30, 40)
    _, shown = kept_picture(encoded(Image.new("RGB", (64, 64), red).convert("CMYK"), "JPEG"), tmp_path)
    assert np.abs(np.asarray(shown).astype(int) - red).max() < 12
    ramp = Image.fromarray(np.arange(65536, dtype=np.uint16).reshape(256, 256))
    _, shown = kept_picture(encoded(ramp, "PNG"), tmp_path)
    assert np.abs(np.asarray(shown.convert("L"))[:, 0].astype(int) - np.arange(256)).max() <= 2
    _, shown = kept_picture(encoded(photo().quantize(16), "GIF"), tmp_path)
    assert shown.mode == "RGB"
    clear = Image.new("RGBA", (64, 64), (*red, 0))
    clear.paste((*red, 255), (0, 0, 32, 64))
    _, shown = kept_picture(encoded(clear, "PNG"), tmp_path)
    assert (shown.mode, np.asarray(shown)[0, 0, 3], np.asarray(shown)[0, 63, 3]) == ("RGBA", 255, 0)
    _, shown = kept_picture(encoded(Image.new("RGBA", (64, 64), (*red, 255)), "PNG"), tmp_path)
    assert shown.mode == "RGB"


def test_colours_of_a_profile_become_those_of_a_browser(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    _, shown = kept_picture(encoded(photo(), "PNG", icc_profile=srgb), tmp_path)
    assert "icc_profile" not in shown.info
    _, shown = kept_picture(encoded(photo(), "PNG", icc_profile=b"no profile at all"), tmp_path)
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(photo())).mean() < 4


def test_bombs_are_refused_and_long_ones_made_shorter(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    for side in (12_000, 20_000):
        bomb = encoded(Image.new("1", (side, side)), "PNG")
        assert len(bomb) < 200_000
        error = failing(archive, image(bomb))
        assert (error.kind, "too large" in str(error) or "more than 100,000,000" in str(error)) == ("permanent", True)
    kept, _ = kept_picture(encoded(Image.new("RGB", (20_000, 40), "red"), "PNG"), tmp_path)
    assert kept.width == MOST_SIDE


@given(
    st.sampled_from([picture(DIGEST, format) for format in ("png", "webp-lossless", "webp-80", "avif-60", "jpeg-80")]),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_picture_is_a_picture_or_an_error_of_ours(
    data: bytes, edits: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(data)
    for place, byte in edits:
        damaged[place % len(damaged)] = byte
    try:
        made = pictures.convert(bytes(damaged[: len(damaged) - cut]))
    except ArchiveError:
        return
    assert decoded(made.data).shape == (made.height, made.width, 3)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_half_a_picture_is_refused(tmp_path: Path, format: str) -> None:
    whole = encoded(photo(), format)
    error = failing(Archive(str(tmp_path)), image(whole[: len(whole) // 2]))
    assert (error.kind, "can't be decoded" in str(error)) == ("permanent", True)


# Sounds


def no_ffmpeg() -> str:
    raise PanicError("ffmpeg is not here")


def made_by_ffmpeg(*options: str, ending: str, folder: Path) -> bytes:
    import subprocess

    from panic_assets.live.archive.sounds import find_ffmpeg

    given, made = folder / "given.wav", folder / f"made.{ending}"
    given.write_bytes(SOUND)
    command = [find_ffmpeg(), "-loglevel", "error", "-y", "-i", str(given), *options, str(made)]
    subprocess.run(command, check=True)
    return made.read_bytes()


@pytest.mark.parametrize(
    ("ending", "options", "kind"),
    [
        ("mp3", ["-c:a", "libmp3lame"], "audio/mpeg"),
        ("flac", [], "audio/flac"),
        ("ogg", ["-c:a", "libvorbis"], "audio/ogg"),
        ("aac", [], "audio/aac"),
        ("webm", ["-c:a", "libopus"], "audio/webm"),
        ("aiff", [], "audio/aiff"),
    ],
)
def test_any_common_sound_becomes_opus_or_mp3(tmp_path: Path, ending: str, options: list[str], kind: str) -> None:
    data = made_by_ffmpeg(*options, ending=ending, folder=tmp_path)
    kept = run(Archive(str(tmp_path / "o")).keep(sound(data)))
    assert (kept.original_type, kept.media_type) == (kind, "audio/ogg")
    assert kept.seconds == pytest.approx(0.75, abs=0.1)
    kept = run(Archive(str(tmp_path / "m"), audio_format="mp3").keep(sound(data)))
    assert (kept.media_type, kept.key[-4:]) == ("audio/mpeg", ".mp3")


def test_opus_stays_as_it_is(tmp_path: Path) -> None:
    first = run(Archive(str(tmp_path)).keep(sound(SOUND)))
    opus = run(Archive(str(tmp_path)).read(first.key))
    for format in ("opus", "mp3"):
        again = run(Archive(str(tmp_path), audio_format=format).keep(sound(opus)))
        assert (again.key, again.original_sha256) == (first.key, first.sha256)
        assert again.seconds == pytest.approx(0.75, abs=0.05)


def test_without_ffmpeg_what_browsers_play_is_kept_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(str(tmp_path / "o"), find_ffmpeg=no_ffmpeg)
    with caplog.at_level(logging.WARNING):
        kept = run(archive.keep(sound(SOUND)))
    assert (kept.media_type, kept.key[-4:], kept.seconds) == ("audio/wav", ".wav", None)
    assert run(archive.read(kept.key)) == SOUND
    assert "a sound is kept as it came (audio/wav): ffmpeg is not here" in caplog.text
    aiff = made_by_ffmpeg(ending="aiff", folder=tmp_path)
    error = failing(archive, sound(aiff))
    assert (error.kind, "ffmpeg is not here" in str(error)) == ("permanent", True)


@pytest.mark.parametrize("program", ["/nowhere/ffmpeg", "old"])
def test_an_ffmpeg_that_does_not_do_it_is_as_none(tmp_path: Path, program: str) -> None:
    if program == "old":
        program = str(tmp_path / "old-ffmpeg")
        Path(program).write_text("#!/bin/sh\necho \"Unknown encoder 'libopus'\" >&2\nexit 1\n")
        Path(program).chmod(0o755)
    kept = run(Archive(str(tmp_path / "o"), find_ffmpeg=lambda: program).keep(sound(SOUND)))
    assert kept.media_type == "audio/wav"


@pytest.mark.parametrize("data", [SOUND[:44], SOUND[:20], b"RIFF\0\0\0\0WAVEnothing", b"OggS" + b"\0" * 60, PNG])
def test_what_is_no_sound_is_refused(tmp_path: Path, data: bytes) -> None:
    error = failing(Archive(str(tmp_path)), sound(data))
    assert error.kind == "permanent"
    assert str(tmp_path) not in str(error)


def test_a_list_of_other_files_is_no_sound(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(SOUND)
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile://" + str(tmp_path / "secret.wav").encode() + b"\n"
    for data in (playlist, b"ID3" + playlist, b"OggS" + playlist):
        assert failing(Archive(str(tmp_path / "o")), sound(data)).kind == "permanent"


# In a ring


def test_every_output_of_a_ring_is_in_the_archive_the_last_one_too(tmp_path: Path) -> None:
    async def answer(call: Call) -> Answer:
        if call.model.gives == "image":
            digest = hashlib.sha256((call.input.text or "").encode()).digest()
            return Answer(Value("image", data=picture(digest, "png")))
        return Answer(Value("text", text=f"a picture of {len(call.input.data or b'')} bytes"))

    async def act() -> None:
        archive = Archive(str(tmp_path / "media"))
        scene = stage(tmp_path, answer, shelf=archive)
        network = scene.network(limits=Limits(invocations=3))
        await scene.runners.start(network, "a red house", "terminal:x")
        await scene.rounds(4)
        ended = scene.store.current_run(network)
        assert (ended.state, ended.end_reason) == ("ended", "length")
        first, _, last = scene.store.invocations(ended.id)
        for key in (first.output_key, last.output_key):
            assert scene.store.media(key).original_type == "image/png"
            assert sniff(await archive.read(key)) == "image/webp"
        scene.store.close()

    run(act())
