"""Files: pictures of every size come back from the bytes alone, and what is no whole file is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec import api
from panic_assets.codec.bitstream.head import MAGIC, Head, seal
from panic_assets.codec.bitstream.methods import EXACT, LEARNED, PLAIN
from panic_assets.codec.errors import CodecError, MissingModel, UnfitValue, WrongBytes, WrongModel, WrongVersion
from panic_assets.codec.latent import LearnedModel, open_model
from panic_assets_tests.codec import tiny_model
from panic_assets_tests.codec.mutations import LIMIT, peak_memory, tally
from panic_assets_tests.codec.scenes import noise, psnr, scene

_KINDS = (1, 3, 4)
_SIDES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 47, 64, 65, 70]
_EXTREMES = [(1, 2000), (2000, 1), (1, 1), (1, 2), (2, 1), (1, 1999)]


def _cases() -> list[tuple[int, int, int, int | None]]:
    """Height, width, channels and quality, None for lossless: every quality with every kind of picture."""
    found: list[tuple[int, int, int, int | None]] = [(1999, 2000, 1, 1)]
    for number, side in enumerate(_SIDES):
        found += [(side, side, _KINDS[number % 3], quality) for quality in (1 + number % 16, 16, None)]
    for number, (height, width) in enumerate(_EXTREMES):
        found += [(height, width, channels, 1 + (5 * number + channels) % 16) for channels in _KINDS]
        found.append((height, width, 3, None))
    # Sides from 1 to 2,000 by chance, of each size as many as of twice the size, and not of too many pixels in all.
    rng = np.random.default_rng(7)
    for number in range(3 * 16):
        height = int(2 ** rng.uniform(0, np.log2(2001)))
        width = int(2 ** rng.uniform(0, np.log2(min(2001, 20_000 // height + 1))))
        found.append((height, max(1, width), _KINDS[number // 16], 1 + number % 16))
    return found


_DECODER = """
import sys
from pathlib import Path
import numpy as np
from panic_assets.codec import api
from panic_assets.codec.latent import LearnedModel
model = LearnedModel(Path(sys.argv[2]), threads=2)
for path in sorted(Path(sys.argv[1]).glob("*.plc")):
    np.save(path.with_suffix(".npy"), api.decompress(path.read_bytes(), model))
"""


def test_pictures_of_all_sizes_come_back_in_another_process(tiny: Path, tmp_path: Path) -> None:
    pictures, expected = {}, {}
    for number, (height, width, channels, quality) in enumerate(_cases()):
        picture = scene(height, width, channels, number)
        name = f"{number}-{quality or 'lossless'}"
        data = api.compress(picture, tiny, **({"quality": quality} if quality else {"lossless": True}))
        (tmp_path / f"{name}.plc").write_bytes(data)
        pictures[name], expected[name] = picture, api.decompress(data, tiny)
    subprocess.run(
        [sys.executable, "-c", _DECODER, str(tmp_path), str(tiny)],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "3"},
    )
    for name, picture in pictures.items():
        made = np.load(tmp_path / f"{name}.npy")
        assert made.shape == picture.shape
        assert np.array_equal(made, expected[name]), name
        if name.endswith("lossless"):
            assert np.array_equal(made, picture)
        else:
            assert psnr(picture, made) > 18, name
            assert picture.ndim == 2 or np.array_equal(made[:, :, 3:], picture[:, :, 3:])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(_KINDS), st.sampled_from([*api.QUALITIES, None]))
def test_any_size_kind_and_quality_comes_back(
    tiny: Path, height: int, width: int, channels: int, quality: int | None
) -> None:
    picture = scene(height, width, channels, height)
    made = api.decompress(
        api.compress(picture, tiny, **({"quality": quality} if quality else {"lossless": True})), tiny
    )
    assert (made.shape, made.dtype) == (picture.shape, np.uint8)
    assert psnr(picture, made) > (18 if quality else 1e9)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bytes_and_quality_rise_over_all_qualities(tiny: Path, channels: int) -> None:
    sizes, likeness = [], []
    pictures = [scene(64, 72, channels, seed) for seed in range(3)]
    for quality in api.QUALITIES:
        files = api.compress_batch(pictures, tiny, quality)
        sizes.append(np.array([len(data) for data in files]))
        made = api.decompress_batch(files, tiny)
        likeness.append(np.array([psnr(a, b) for a, b in zip(pictures, made, strict=True)]))
    for lower, higher in (*pairwise(sizes), *pairwise(likeness)):
        assert (lower < higher).all()


def test_noise_has_no_ceiling(tiny: Path) -> None:
    picture = noise(48, 48)
    likeness = [psnr(picture, api.decompress(api.compress(picture, tiny, quality), tiny)) for quality in api.QUALITIES]
    assert likeness == sorted(likeness)
    assert likeness[3] < 20 < 36 < likeness[11] < 50 < likeness[15]


@pytest.mark.parametrize("picture", [scene(37, 53), noise(20, 31), scene(40, 40, 4), noise(9, 7, 1), scene(33, 65, 1)])
def test_lossless_is_exact_and_never_much_over_raw(picture: np.ndarray) -> None:
    data = api.compress(picture, lossless=True)
    assert np.array_equal(api.decompress(data), picture)
    assert len(data) <= picture.size + 12
    assert api.info(data).lossless


def test_lossless_is_better_than_deflating() -> None:
    picture = scene(128, 128)
    assert api.info(data := api.compress(picture, lossless=True)).method == "exact"
    assert len(data) < 0.8 * len(zlib.compress(picture.tobytes(), 9))


def test_a_residual_of_one_makes_a_learned_picture_exact(tiny: Path) -> None:
    picture = scene(50, 41, 4)
    data = api.compress(picture, tiny, 7, residual=1)
    told = api.info(data)
    assert (told.method, told.lossless, told.details["residual_step"]) == ("learned", True, 1)
    assert np.array_equal(api.decompress(data, tiny), picture)


def test_other_pixels_than_promised_are_refused(tiny: Path) -> None:
    picture = scene(24, 24)
    data = bytearray(api.compress(picture, tiny, 7, residual=1)[:-4])
    data[12] ^= 1  # the checksum of pixels, as if this machine had drawn others
    data += zlib.crc32(data).to_bytes(4, "little")
    with pytest.raises(CodecError, match="exact=False"):
        api.decompress(bytes(data), tiny)
    assert np.array_equal(api.decompress(bytes(data), tiny, exact=False), picture)


def test_what_stands_around_the_latents_of_64_pixels_is_15_bytes(tiny: Path) -> None:
    told = api.info(data := api.compress(scene(64, 64), tiny, 4))
    assert len(data) - told.details["latent_bytes"] == 15
    assert (told.quality, told.height, told.width, told.channels) == (4, 64, 64, 3)


@pytest.mark.parametrize("quality", api.QUALITIES)
def test_a_file_tells_its_quality_where_no_layer_is_added(tiny: Path, quality: int) -> None:
    told = api.info(api.compress(scene(64, 64), tiny, quality))
    assert told.quality == (quality if quality <= 4 else None)
    assert (told.details["residual_step"] is None) == (quality <= 4)
    assert told.details["level"] == api.PLANS[quality - 1][0]


@pytest.mark.parametrize("quality", [2, 14])
def test_threads_and_batches_change_no_byte(tiny: Path, quality: int) -> None:
    shapes = [(40, 56, 3), (33, 20, 4), (40, 56, 3), (40, 56, 1), (33, 20, 4), (40, 56, 3), (9, 9, 1)]
    pictures = [scene(*shape, seed) for seed, shape in enumerate(shapes)]
    pictures.append(np.zeros((40, 56, 3), np.uint8))  # a plain file among those of its shape
    files = [api.compress(picture, tiny, quality) for picture in pictures]
    for workers in (1, 3):
        assert api.compress_batch(pictures, tiny, quality, workers=workers) == files
    assert api.compress_batch(pictures, LearnedModel(tiny, threads=3), quality) == files
    expected = [api.decompress(data, tiny) for data in files]
    files.append(api.compress(pictures[0], tiny, 1))
    expected.append(api.decompress(files[-1], tiny))
    for made, own in zip(api.decompress_batch(files, LearnedModel(tiny, threads=3), workers=2), expected, strict=True):
        assert np.array_equal(made, own)


def test_batches_may_be_empty_and_say_what_is_wrong(tiny: Path) -> None:
    assert api.compress_batch([], tiny) == api.decompress_batch([], tiny) == []
    with pytest.raises(UnfitValue, match="give"):
        api.compress_batch([scene(8, 8), np.zeros((8, 8, 3))], tiny)
    with pytest.raises(WrongBytes, match="begins with"):
        api.decompress_batch([api.compress(scene(8, 8), tiny), b"none"], tiny)


def test_another_model_is_told_with_both_names(tiny: Path, tmp_path: Path) -> None:
    other = tiny_model.write(tmp_path / "other", scale=1.5)
    data = api.compress(scene(30, 30), tiny, 9)
    with pytest.raises(WrongModel) as caught:
        api.decompress(data, other)
    assert caught.value.written_by == open_model(tiny).identity.hex()[:8] == api.info(data).details["model"]
    assert caught.value.at_hand == open_model(other).identity.hex()[:8]
    with pytest.raises(WrongModel):
        api.decompress(data)  # no bundled one either


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="no codec model"):
        api.compress(scene(8, 8), tmp_path)
    with pytest.raises(MissingModel, match=r"latent.codecs"):
        api.compress(scene(8, 8), "latent-codecs")


def test_another_encoder_makes_no_other_model(tiny: Path, tmp_path: Path) -> None:
    other = tiny_model.write(tmp_path / "same")
    (other / "encoder.onnx").write_bytes(b"")
    assert open_model(other).identity == open_model(tiny).identity


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", WrongBytes, "begins with"),
        (b"RIFF0000WEBP", WrongBytes, "begins with"),
        (MAGIC, WrongBytes, "not the whole"),
        (MAGIC + bytes([2 << 4]) + bytes(9), WrongVersion, "version 2"),
        (seal(Head(9, 4, 4, 3), b""), WrongVersion, "method 9"),
        (seal(Head(PLAIN, 4, 4, 3), bytes(47)), WrongBytes, "47 bytes for 48"),
        (seal(Head(PLAIN, 4, 4, 3, 7), bytes(48)), WrongBytes, "form 7"),
        (seal(Head(PLAIN, 60000, 60000, 3), b""), WrongBytes, "larger limit"),
        (seal(Head(PLAIN, 4000, 4000, 3, 1), b"\x03\x00"), WrongBytes, "1033"),
        (seal(Head(PLAIN, 0, 4, 3), b""), WrongBytes, "height of 0"),
        (seal(Head(PLAIN, 70_000, 1, 3), b""), WrongBytes, "height of 70000"),
        (seal(Head(EXACT, 4, 4, 3, 1), b""), WrongBytes, "options 1"),
        (seal(Head(EXACT, 4, 4, 3), b""), WrongBytes, "end within"),
        (seal(Head(EXACT, 4, 4, 3), b"\x11\x01\x00"), WrongBytes, "17 levels"),
        (seal(Head(EXACT, 4, 4, 3), b"\x02\x7f\x00"), WrongBytes, "127 tables"),
        (seal(Head(LEARNED, 4, 4, 3, 16), bytes(5)), WrongBytes, "step of 0"),
        (seal(Head(LEARNED, 4, 4, 3, 40), bytes(9)), WrongBytes, "options 40"),
        (seal(Head(LEARNED, 4, 4, 4), bytes(5)), WrongBytes, "layers"),
    ],
)
def test_bytes_that_are_no_file_are_told_why(data: bytes, error: type[CodecError], words: str) -> None:
    with pytest.raises(error, match=words):
        api.decompress(data)


def test_a_side_that_is_not_in_its_shortest_form_is_refused() -> None:
    data = seal(Head(PLAIN, 4, 4, 1), bytes(16))[:-4].replace(b"\x04\x04", b"\x84\x00\x04")
    with pytest.raises(WrongBytes, match="shortest form"):
        api.decompress(data + zlib.crc32(data).to_bytes(4, "little"))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((2, 65_536), np.uint8),
        [[1, 2], [3, 4]],
    ],
)
def test_what_is_no_picture_is_refused(picture: object) -> None:
    with pytest.raises(UnfitValue, match="give"):
        api.compress(picture, lossless=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"quality": 0}, {"quality": 17}, {"residual": -1}, {"residual": 256}])
def test_settings_out_of_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UnfitValue, match="give"):
        api.compress(scene(8, 8), **settings)


def test_damaged_files_give_errors_and_take_no_memory(tiny: Path) -> None:
    ways = [{"quality": 4}, {"quality": 15}, {"lossless": True}, {"quality": 9, "residual": 1}]
    files = [
        api.compress(scene(20 + 9 * n, 31, channels, n), tiny, **setting)
        for n, setting in enumerate(ways)
        for channels in (1, 3, 4)
    ]
    files.append(api.compress(np.zeros((50, 50, 3), np.uint8), lossless=True))
    before = peak_memory()
    found = tally(files, 300, 11, tiny)
    assert peak_memory() - before < 300e6, LIMIT
    assert sum(sum(counts.values()) for counts in found.values()) == 300
    for kind, counts in found.items():
        if not kind.endswith("resealed"):
            assert set(counts) <= {"WrongBytes", "WrongVersion", "right"}, (kind, counts)
