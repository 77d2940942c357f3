"""Pictures stored as the latents that they were drawn from: by the bundled pipeline, which tells what it drew from."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from panic_assets import image_formats
from panic_assets.codec import api, store, vae_store
from panic_assets.codec.bitstream.vae import bundled_vaes
from panic_assets.codec.models import load_vae
from panic_assets.devices.base import Reply
from panic_assets.devices.wire import Done, Wire
from panic_assets.lake import UnreadableImage, images
from panic_assets.loop.pictures import settle
from panic_assets.models.base import Output
from panic_assets.models.registry import load_registry
from panic_assets_tests.codec.scenes import psnr, scene
from panic_assets_tests.codec.vaes import exported, kl
from panic_assets_tests.loop.parts import plain_pool

PROMPTS = ["a small red circle above a large blue star on a black background", "two yellow squares", "a penguin"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module", params=["TinyScenes", "TinyScenesFast"])
def outputs(request: pytest.FixtureRequest) -> list[Output]:
    model = plain_pool().get(load_registry()[request.param])
    made: list[Output] = model.invoke(PROMPTS, [1, 2, 3])
    return made


def test_a_pipeline_tells_what_it_drew_from(outputs: list[Output]) -> None:
    (vae,) = bundled_vaes()
    table = vae.settings.table
    for output in outputs:
        assert isinstance(output.value, np.ndarray)
        assert output.latents is not None
        assert (output.latents.shape, output.latents.dtype) == ((8, 8, 8), np.float32)
        scaled = (output.latents - table.latent_shift) * table.latent_scale
        drawn = vae.decode(scaled[None].astype(np.float32), 64, 64)[0]
        # The shipped decoder is the pipeline's own: what is left is rounding.
        assert np.abs(drawn.astype(int) - output.value).mean() < 0.5


def test_a_pipeline_is_as_it_was_after_a_call(outputs: list[Output]) -> None:
    model = plain_pool().get(load_registry()["TinyScenesFast"])
    before = "decode" in vars(model._pipeline.vae)
    again = model.invoke(PROMPTS[:1], [1])
    assert before is ("decode" in vars(model._pipeline.vae)) is False
    assert again[0].latents is not None


def test_latents_are_stored_without_encoding_and_better_qualities_come_nearer(outputs: list[Output]) -> None:
    for output in outputs:
        sizes, likenesses = [], []
        for quality in (3, 8, 13):
            content = images.encode(output.value, f"vae-{quality}", output.latents)
            assert api.info(content).method == "vae"
            sizes.append(len(content))
            likenesses.append(psnr(images.decode(content), output.value))
        assert sizes == sorted(sizes)
        assert likenesses == sorted(likenesses)
        assert likenesses[-1] > 38
        assert sizes[-1] < len(images.encode(output.value)) / 4


def test_what_is_fed_on_is_what_is_stored(outputs: list[Output]) -> None:
    settled = settle(outputs[0].value, "vae-8", outputs[0].latents)
    assert settled.encoded is not None
    assert np.array_equal(images.decode(settled.encoded), settled.pixels)
    assert images.pixel_hash(settled.pixels) == settled.image_hash


def test_latents_of_something_else_are_not_believed(outputs: list[Output]) -> None:
    picture, latents = outputs[0].value, outputs[0].latents
    assert latents is not None
    others = [
        None,
        outputs[1].latents,  # of another picture, as when a safety checker put one in its place
        latents[:4],
        latents[:, :4],
        np.full_like(latents, np.nan),
    ]
    for other in others:
        assert vae_store.encode(picture, 8, other) == store.encode(picture, 8)
    assert api.info(vae_store.encode(scene(64, 64), 8)).method == "learned"
    assert store.encode(picture, 8, latents) == store.encode(picture, 8)


def test_an_identity_follows_from_quality_and_models(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = {vae_store.identity(quality) for quality in api.QUALITIES}
    assert len(identities) == len(api.QUALITIES)
    assert not identities & {store.identity(quality) for quality in api.QUALITIES}
    before = vae_store.identity(8)
    monkeypatch.setattr("panic_assets.codec.bitstream.vae.bundled_vaes", list)
    assert vae_store.identity(8) != before


def test_without_its_vae_a_picture_is_not_called_damaged(
    outputs: list[Output], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = images.encode(outputs[0].value, "vae-8", outputs[0].latents)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("panic_assets.codec.bitstream.vae.project_dir", lambda: tmp_path)
    with pytest.raises(UnreadableImage, match="was written by the VAE"):
        images.decode(content)
    assert "panic codec export-vae MODEL" in str(image_formats.problem("vae-8"))


def test_latents_come_over_the_wire(outputs: list[Output]) -> None:
    here, there = (Wire(end) for end in socket.socketpair())
    here.write(Wire.pack(Done(1, Reply(outputs, 0.0, 0.0, NOW, NOW, "cpu"))))
    for sent, came in zip(outputs, there.receive().result.outputs, strict=True):
        assert np.array_equal(came.latents, sent.latents)
        assert images.encode(came.value, "vae-8", came.latents) == images.encode(sent.value, "vae-8", sent.latents)
    here.close()
    there.close()


def test_scaled_and_shifted_latents_of_another_kind_of_vae_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    known = load_vae(exported("kl").folder)
    monkeypatch.setattr("panic_assets.codec.bitstream.vae.bundled_vaes", lambda: [*bundled_vaes(), known])
    latents = np.random.default_rng(5).normal(0, 1.5, (4, 20, 24)).astype(np.float32)
    with torch.inference_mode():
        drawn = kl().eval().decode(torch.from_numpy(latents)[None]).sample[0]
    picture = ((drawn / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    files = [images.encode(picture, f"vae-{quality}", latents) for quality in (6, 16)]
    assert [api.info(data).method for data in files] == ["vae", "vae"]
    assert psnr(images.decode(files[0]), picture) < psnr(images.decode(files[1]), picture)
    assert psnr(images.decode(files[1]), picture) > 40
