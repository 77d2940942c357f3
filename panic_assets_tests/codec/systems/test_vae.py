"""A VAE's halves as systems of a world."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec.components import RGB, BlurRGB, Latent, ReconRGB
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import MissingModel, UnfitValue
from panic_assets.codec.models import load_vae
from panic_assets.codec.systems.blur import GaussianBlur
from panic_assets.codec.systems.on_pictures import SHAPE
from panic_assets.codec.systems.vae import OnnxVAEDecode, OnnxVAEEncode
from panic_assets_tests.codec.vaes import exported, picture


def test_a_picture_of_odd_sides_comes_back_in_its_size() -> None:
    world, folder = World(1 << 22), exported("bundled").folder
    shown = picture(37, 50)
    eid = world.spawn_image(shown)
    pipe = world.pipe(eid) | OnnxVAEEncode(folder)
    assert world.arena.view(pipe.out(Latent).z).shape == (8, 5, 7)
    made = world.arena.view((pipe | OnnxVAEDecode(folder)).out(ReconRGB).pix)
    vae = load_vae(folder)
    assert (made == vae.decode(vae.encode(shown[None]), 37, 50)[0]).all()


def test_batches_by_shape_give_each_entity_its_own() -> None:
    world, folder = World(1 << 22), exported("tiny").folder
    shown = [picture(16, 20, 0), picture(8, 8, 1), picture(16, 20, 2), picture(13, 17, 3)]
    eids = [world.spawn_image(one) for one in shown]
    pipe = world.pipe(eids) | OnnxVAEEncode(folder) | OnnxVAEDecode(folder)
    vae = load_vae(folder)
    for one, recon in zip(shown, pipe.out(ReconRGB), strict=True):
        alone = vae.decode(vae.encode(one[None]), *one.shape[:2])[0].astype(int)
        assert np.abs(world.arena.view(recon.pix) - alone).max() <= 1


def test_grey_comes_back_grey_and_opacity_is_refused() -> None:
    world, folder = World(1 << 22), exported("tiny").folder
    eid = world.spawn_image(picture(9, 9)[..., 0])
    both = world.pipe(eid) | OnnxVAEEncode(folder) | OnnxVAEDecode(folder)
    assert world.arena.view(both.out(ReconRGB).pix).shape == (9, 9)
    eid = world.spawn_image(np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(UnfitValue, match="codes no opacity"):
        (world.pipe(eid) | OnnxVAEEncode(folder)).execute()


def test_the_selected_picture_is_encoded() -> None:
    world, folder = World(1 << 22), exported("tiny").folder
    eid = world.spawn_image(picture(16, 16))
    blurred = (world.pipe(eid) | GaussianBlur(2.0)).select(BlurRGB).to(OnnxVAEEncode(folder))
    soft = world.arena.view(blurred.out(Latent).z).copy()
    plain = world.arena.view((world.pipe(eid) | OnnxVAEEncode(folder)).out(Latent).z)
    assert np.abs(soft - plain).max() > 1e-4


def test_latents_from_elsewhere_are_drawn_in_whole_strides() -> None:
    world, decode = World(1 << 22), OnnxVAEDecode(exported("kl").folder)
    eid = world.new_entity()
    world.add_component(eid, Latent(z=world.arena.put(np.zeros((4, 3, 5), np.float32))))
    assert (world.pipe(eid) | decode).out(ReconRGB).size == (6, 10)
    world.metadata[eid][SHAPE] = (5, 9, 3)
    assert (world.pipe(eid) | OnnxVAEEncode(exported("kl").folder, mode="decode")).out(ReconRGB).size == (5, 9)
    world.add_component(eid, Latent(z=world.arena.put(np.zeros((4, 3, 5), np.int32))))
    with pytest.raises(UnfitValue, match="give floats"):
        (world.pipe(eid) | OnnxVAEDecode(exported("kl").folder)).execute()


def test_a_model_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(MissingModel, match="no model 'sdxl-vae'"):
        OnnxVAEEncode("sdxl-vae", mode="encode")
    assert OnnxVAEEncode(exported("tiny").folder).produced == (Latent,)
    assert OnnxVAEDecode(exported("tiny").folder).produced == (ReconRGB,)
    assert RGB in OnnxVAEEncode(exported("tiny").folder).accepts
