"""The world: entities, components, and who may use it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from panic_assets.codec.components import RGB, BlurRGB, Latent, ReconRGB
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import ArenaFull, CodecError, MissingComponent, StaleReference, UnfitValue, WrongThread
from panic_assets.codec.systems.blur import GaussianBlur


def _world() -> World:
    return World(arena_bytes=1 << 20)


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3), (1, 9, 4)])
def test_pictures_come_in_grey_in_colours_and_with_opacity(shape: tuple[int, ...]) -> None:
    world, image = _world(), _noise(*shape)
    picture = world.get_component(world.spawn_image(image), RGB)
    np.testing.assert_array_equal(world.arena.view(picture.pix), image)
    image[...] = 0
    assert picture.size == shape[:2]
    assert world.arena.view(picture.pix).any()  # a copy


def test_pictures_in_any_memory_order_come_in() -> None:
    world, image = _world(), _noise(6, 4, 3)
    turned = world.get_component(world.spawn_image(image.transpose(1, 0, 2)[::-1]), RGB)
    np.testing.assert_array_equal(world.arena.view(turned.pix), image.transpose(1, 0, 2)[::-1])


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)],
)
def test_what_is_no_picture_is_refused_and_leaves_nothing(image: np.ndarray) -> None:
    world = _world()
    with pytest.raises(UnfitValue, match=r"picture 0: .* uint8"):
        world.spawn_image(image)
    assert (world.query(RGB), world.arena.used, world.metadata) == ([], 0, {})


def test_a_batch_lies_together_in_memory() -> None:
    world, images = _world(), _noise(3, 5, 7, 3)
    eids = world.spawn_images(images)
    pixels = world.arena.batch([world.get_component(eid, RGB).pix for eid in eids])
    np.testing.assert_array_equal(pixels, images)
    pixels[1] = 0
    assert not world.arena.view(world.get_component(eids[1], RGB).pix).any()
    assert world.spawn_images([]) == []


def test_a_batch_of_unlike_pictures_is_refused_whole() -> None:
    world = _world()
    with pytest.raises(UnfitValue, match="picture 1"):
        world.spawn_images([_noise(4, 4), _noise(4, 5)])
    assert world.arena.used == 0


def test_a_picture_too_large_for_the_arena_is_a_memory_error() -> None:
    world = World(arena_bytes=100)
    with pytest.raises(MemoryError, match="arena_bytes") as e:
        world.spawn_image(_noise(20, 20))
    assert isinstance(e.value, ArenaFull)
    assert world.metadata == {}


def test_components_are_added_found_replaced_and_removed() -> None:
    world = _world()
    eid = world.spawn_image(_noise(4, 4))
    pix = world.get_component(eid, RGB).pix
    assert world.has_component(eid, RGB)
    assert not world.has_component(eid, BlurRGB)
    for sigma in (1.0, 2.0):
        world.add_component(eid, BlurRGB(pix=pix, sigma=sigma))
    assert world.get_component(eid, BlurRGB).sigma == 2
    assert [type(component) for component in world.components_of(eid)] == [BlurRGB, RGB]
    world.remove_component(eid, BlurRGB)
    assert not world.has_component(eid, BlurRGB)
    with pytest.raises(KeyError):
        world.remove_component(eid, BlurRGB)


def test_a_missing_component_is_a_key_error_that_says_what_is_there() -> None:
    world = _world()
    eid = world.spawn_image(_noise(4, 4))
    with pytest.raises(KeyError) as e:
        world.get_component(eid, Latent)
    assert isinstance(e.value, MissingComponent)
    assert isinstance(e.value, CodecError)
    assert str(e.value) == "entity 0 has no Latent; it has RGB"
    with pytest.raises(KeyError, match="entity 1 has no RGB; it has nothing"):
        world.get_component(world.new_entity(), RGB)


def test_destroyed_entities_are_gone_and_others_stay() -> None:
    world = _world()
    first, second = world.spawn_images(_noise(2, 4, 4))
    world.destroy_entity(first)
    assert world.query(RGB) == [second]
    assert not world.has_component(first, RGB)
    picture = world.get_component(second, RGB)
    uses = (
        lambda: world.get_component(first, RGB),
        lambda: world.add_component(first, picture),
        lambda: world.destroy_entity(first),
        lambda: world.pipe(first),
        lambda: world.pipe([second, first]),
        lambda: world.components_of(99),
    )
    for use in uses:
        with pytest.raises(MissingComponent, match="there is no entity"):
            use()


def test_queries_intersect_and_rise() -> None:
    world = _world()
    eids = world.spawn_images(_noise(5, 4, 4))
    for eid in (eids[4], eids[1], eids[3]):
        world.add_component(eid, ReconRGB(pix=world.get_component(eid, RGB).pix))
    world.add_component(eids[3], BlurRGB(pix=world.get_component(eids[3], RGB).pix, sigma=1))
    assert world.query(RGB) == eids
    assert world.query(ReconRGB, RGB) == [eids[1], eids[3], eids[4]]
    assert world.query(RGB, BlurRGB, ReconRGB) == [eids[3]]
    assert world.query(Latent) == []


def test_defect_a_query_for_nothing_finds_nothing() -> None:
    world = _world()
    world.spawn_image(_noise(4, 4))
    assert world.query() == []


def test_worlds_are_cleared_and_filled_again_and_again_in_the_same_memory() -> None:
    world, seen = World(arena_bytes=1 << 12), []
    for round_number in range(20):
        image = _noise(60, 60, seed=round_number)
        eid = world.spawn_image(image)
        pix = world.get_component(eid, RGB).pix
        np.testing.assert_array_equal(world.arena.view(pix), image)
        seen.append(eid)
        world.clear()
        assert (world.query(RGB), world.metadata, world.arena.used) == ([], {}, 0)
        with pytest.raises(StaleReference):
            world.arena.view(pix)
    assert len(set(seen)) == 20  # an old number can't mean a new entity


def test_components_with_tensors_of_elsewhere_are_refused() -> None:
    world, other = _world(), _world()
    foreign = other.get_component(other.spawn_image(_noise(4, 4)), RGB)
    eid = world.spawn_image(_noise(4, 4))
    stale = world.get_component(eid, RGB)
    with pytest.raises(StaleReference, match="another world"):
        world.add_component(eid, foreign)
    world.clear()
    with pytest.raises(StaleReference, match="generation"):
        world.add_component(world.new_entity(), stale)


def test_metadata_belongs_to_entities() -> None:
    world = _world()
    eid = world.new_entity()
    world.metadata[eid]["name"] = "a"
    assert world.metadata == {eid: {"name": "a"}}
    world.destroy_entity(eid)
    assert world.metadata == {}


def test_another_thread_is_refused_in_every_method() -> None:
    world = _world()
    eid = world.spawn_image(_noise(4, 4))
    picture = world.get_component(eid, RGB)
    pipe = world.pipe(eid).to(GaussianBlur())
    uses = {
        "arena": lambda: world.arena,
        "metadata": lambda: world.metadata,
        "new_entity": world.new_entity,
        "spawn_image": lambda: world.spawn_image(_noise(4, 4)),
        "spawn_images": lambda: world.spawn_images([_noise(4, 4)]),
        "add_component": lambda: world.add_component(eid, picture),
        "get_component": lambda: world.get_component(eid, RGB),
        "has_component": lambda: world.has_component(eid, RGB),
        "components_of": lambda: world.components_of(eid),
        "remove_component": lambda: world.remove_component(eid, RGB),
        "destroy_entity": lambda: world.destroy_entity(eid),
        "query": lambda: world.query(RGB),
        "pipe": lambda: world.pipe(eid),
        "clear": world.clear,
    }
    public = {name for name in dir(World) if not name.startswith("_")}
    assert public == set(uses)
    refused = []

    def try_all() -> None:
        for name, use in [*uses.items(), ("a pipe", pipe.execute)]:
            try:
                use()
            except WrongThread as problem:
                refused.append((name, str(problem)))

    thread = threading.Thread(target=try_all, name="the second")
    thread.start()
    thread.join()
    assert [name for name, _ in refused] == [*uses, "a pipe"]
    assert all("thread the second" in text and "one world for each thread" in text for _, text in refused)
    assert world.query(RGB) == [eid]  # untouched


def test_many_worlds_run_in_parallel() -> None:
    def blurred(seed: int) -> bytes:
        world = _world()
        out = []
        for turn in range(5):
            blur = world.pipe(world.spawn_image(_noise(24, 31, 3, seed=seed + turn))).to(GaussianBlur(1.5)).out(BlurRGB)
            out.append(world.arena.view(blur.pix).tobytes())
            world.clear()
        return b"".join(out)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(blurred, range(12))) == [blurred(seed) for seed in range(12)]
