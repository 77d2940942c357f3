"""Pipes: order, dependencies, selection, branches, batches, and that nothing runs twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from panic_assets.codec.components import RGB, BlurRGB, Channels, Latent, ReconRGB, Residual
from panic_assets.codec.core.context import Context
from panic_assets.codec.core.system import System
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import MissingComponent, UnmetDependency
from panic_assets.codec.systems.blur import GaussianBlur
from panic_assets.codec.systems.hadamard import Hadamard4
from panic_assets.codec.systems.metrics import MetricMSE
from panic_assets.codec.systems.residual import ResidualAdd, ResidualCompute


class _Negative(System):
    """The picture's complement."""

    accepts = RGB, ReconRGB, BlurRGB
    produced = (ReconRGB,)

    def run(self, world: World, eids: Sequence[int]) -> None:
        for eid in eids:
            picture: Any = world.get_component(eid, self.source)
            world.add_component(eid, ReconRGB(pix=world.arena.put(255 - world.arena.view(picture.pix))))


class _Fails(System):
    accepts = (RGB,)
    produced = ()

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = True

    def run(self, world: World, eids: Sequence[int]) -> None:
        if self.is_broken:
            raise OSError("the disk is gone")


def _world() -> World:
    return World(arena_bytes=1 << 20, context=Context(is_traced=True))


def _image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (12, 10, 3), np.uint8)


def _ran(world: World) -> list[str]:
    return [step.system for step in world.context.trace]


def test_systems_run_in_their_order_by_either_spelling() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    pipe = world.pipe(eid).to(GaussianBlur()) | _Negative()
    pipe = pipe | ResidualCompute() | ResidualAdd()
    assert _ran(world) == []  # nothing runs before it is asked for
    recon = pipe.out(ReconRGB)
    assert _ran(world) == ["GaussianBlur", "_Negative", "ResidualCompute", "ResidualAdd"]
    np.testing.assert_array_equal(world.arena.view(recon.pix), _image())


def test_defect_a_second_out_runs_nothing_again() -> None:
    world = _world()
    pipe = world.pipe(world.spawn_image(_image())).to(GaussianBlur())
    first, used = pipe.out(BlurRGB), world.arena.used
    assert pipe.out(BlurRGB) is first
    assert pipe.out(RGB).size == (12, 10)
    pipe.execute()
    assert (_ran(world), world.arena.used) == (["GaussianBlur"], used)
    pipe.to(_Negative()).out(ReconRGB)
    assert _ran(world) == ["GaussianBlur", "_Negative"]


def test_defect_select_changes_what_the_next_system_reads() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    blur = world.pipe(eid).to(GaussianBlur(2.0)).out(BlurRGB)
    of_original = world.pipe(eid).to(_Negative()).out(ReconRGB)
    of_blur = world.pipe(eid).select(BlurRGB).to(_Negative()).out(ReconRGB)
    np.testing.assert_array_equal(world.arena.view(of_original.pix), 255 - _image())
    np.testing.assert_array_equal(world.arena.view(of_blur.pix), 255 - world.arena.view(blur.pix))


def test_a_selection_holds_for_one_system_and_leaves_the_others_alone() -> None:
    world, system = _world(), _Negative()
    eid = world.spawn_image(_image())
    pipe = world.pipe(eid).to(GaussianBlur(2.0)).select(BlurRGB).to(system).to(system)
    np.testing.assert_array_equal(world.arena.view(pipe.out(ReconRGB).pix), 255 - _image())
    assert system.source is RGB


def test_a_selection_that_the_next_system_can_not_read_is_refused_at_once() -> None:
    world = _world()
    pipe = world.pipe(world.spawn_image(_image())).select(Residual)
    with pytest.raises(UnmetDependency, match="GaussianBlur can't read Residual; it accepts RGB, ReconRGB"):
        pipe.to(GaussianBlur())


def test_a_selection_without_a_system_is_refused() -> None:
    world = _world()
    with pytest.raises(UnmetDependency, match=r"select\(RGB\) is followed by no system"):
        world.pipe(world.spawn_image(_image())).select(RGB).out(RGB)


def test_an_unmet_dependency_is_a_runtime_error_before_anything_runs() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    with pytest.raises(
        RuntimeError, match="Hadamard4 would not find Latent on entity 0, which will have BlurRGB, RGB"
    ) as e:
        world.pipe(eid).to(GaussianBlur()).to(Hadamard4()).execute()
    assert isinstance(e.value, UnmetDependency)
    assert _ran(world) == []
    with pytest.raises(UnmetDependency, match="not find ReconRGB"):
        world.pipe(eid).to(ResidualCompute()).to(_Negative()).execute()  # right systems, wrong order


def test_defect_no_entity_of_a_batch_is_left_out_in_silence() -> None:
    world = _world()
    eids = world.spawn_images([_image(0), _image(1)])
    world.pipe(eids[0]).to(_Negative()).execute()
    with pytest.raises(UnmetDependency, match=f"ResidualCompute would not find ReconRGB on entity {eids[1]}"):
        world.pipe(eids).to(ResidualCompute()).execute()
    assert world.query(Residual) == []


def test_a_component_that_is_not_there_is_a_key_error() -> None:
    world = _world()
    with pytest.raises(KeyError, match="has no Channels") as e:
        world.pipe(world.spawn_image(_image())).out(Channels)
    assert isinstance(e.value, MissingComponent)


def test_a_batch_gives_a_list_in_the_order_of_its_entities() -> None:
    world = _world()
    eids = world.spawn_images([_image(seed) for seed in range(4)])[::-1]
    recons = world.pipe(eids).to(_Negative()).out(ReconRGB)
    assert _ran(world) == ["_Negative"]  # one run for all
    for seed, recon in zip(range(3, -1, -1), recons, strict=True):
        np.testing.assert_array_equal(world.arena.view(recon.pix), 255 - _image(seed))
    assert world.pipe([]).to(_Negative()).out(ReconRGB) == []


def test_a_batch_may_hold_pictures_of_several_sizes() -> None:
    world = _world()
    eids = [world.spawn_image(np.zeros(shape, np.uint8)) for shape in [(3, 4), (5, 2, 3), (1, 1, 4)]]
    assert [blur.size for blur in world.pipe(eids).to(GaussianBlur()).out(BlurRGB)] == [(3, 4), (5, 2), (1, 1)]


def test_after_an_error_a_pipe_goes_on_with_the_system_that_failed() -> None:
    world, broken = _world(), _Fails()
    pipe = world.pipe(world.spawn_image(_image())).to(GaussianBlur()).to(broken).to(_Negative())
    with pytest.raises(OSError, match="disk"):
        pipe.execute()
    assert not world.query(ReconRGB)
    broken.is_broken = False
    pipe.out(ReconRGB)
    assert _ran(world) == ["GaussianBlur", "_Fails", "_Fails", "_Negative"]


def test_branches_do_not_touch_each_other_nor_the_trunk() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    pipe = world.pipe(eid).to(GaussianBlur(1.0))
    pipe = pipe.branch("a").to(GaussianBlur(2.0)).join().branch("b").to(GaussianBlur(3.0)).to(_Negative()).join()
    assert [pipe.out(BlurRGB, branch=name).sigma for name in ("a", "b")] == [2, 3]
    assert pipe.out(BlurRGB).sigma == 1
    assert not world.has_component(eid, ReconRGB)
    twins = [eid for eid in world.query(RGB) if "branch" in world.metadata[eid]]
    assert [world.metadata[twin] for twin in twins] == [
        {"branch": "a", "twin_of": eid},
        {"branch": "b", "twin_of": eid},
    ]
    with pytest.raises(MissingComponent):
        pipe.out(ReconRGB, branch="a")


def test_a_branch_shares_tensors_and_copies_none() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    used = world.arena.used
    assert world.pipe(eid).branch("twin").join().out(RGB, branch="twin") is world.get_component(eid, RGB)
    assert world.arena.used == used


def test_a_branch_begins_with_what_is_known_of_the_entity() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    world.metadata[eid]["taken"] = "at noon"
    pipe = world.pipe(eid).branch("twin").join().branch("other").to(GaussianBlur()).join()
    pipe.execute()
    assert [data["taken"] for data in world.metadata.values()] == ["at noon"] * 3
    assert world.metadata[eid] == {"taken": "at noon"}


def test_join_takes_along_what_is_named() -> None:
    world = _world()
    eids = world.spawn_images([_image(0), _image(1)])
    pipe = world.pipe(eids).branch("side").to(GaussianBlur(2.0)).to(_Negative()).join(ReconRGB).to(ResidualCompute())
    recons = pipe.out(ReconRGB)
    assert recons == pipe.out(ReconRGB, branch="side")
    assert world.query(RGB, Residual) == eids
    assert not world.has_component(eids[0], BlurRGB)


def test_within_a_branch_out_is_that_of_the_branch_and_branches_nest() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    pipe = world.pipe(eid).branch("a").to(GaussianBlur(2.0)).branch("b").to(GaussianBlur(3.0))
    assert pipe.out(BlurRGB).sigma == 3
    assert pipe.join().out(BlurRGB).sigma == 2
    pipe = pipe.join(BlurRGB).branch("b").to(_Negative())  # the same branch again
    assert pipe.out(BlurRGB).sigma == 3
    assert pipe.join().out(BlurRGB).sigma == 2
    assert len(world.query(RGB)) == 3


def test_branches_that_can_not_be_are_refused() -> None:
    world = _world()
    pipe = world.pipe(world.spawn_image(_image()))
    with pytest.raises(UnmetDependency, match=r"join\(\) without a branch"):
        pipe.join()
    with pytest.raises(UnmetDependency, match="branch ''"):
        pipe.branch("")
    with pytest.raises(UnmetDependency, match="branch 'a' is open"):
        pipe.branch("a").branch("a")
    with pytest.raises(UnmetDependency, match="no branch 'c' in this pipe; there are a"):
        pipe.join().out(RGB, branch="c")
    with pytest.raises(UnmetDependency, match="branch 'a' has no Latent for entity 0 to join"):
        pipe.branch("a").join(Latent).execute()


def test_metrics_of_branches_stay_apart() -> None:
    world = _world()
    eid = world.spawn_image(_image())
    pipe = world.pipe(eid)
    for sigma in (0.5, 3.0):
        pipe.branch(f"{sigma}").to(GaussianBlur(sigma)).select(BlurRGB).to(MetricMSE()).join()
    pipe.execute()
    found = {data["branch"]: data["mse"] for data in world.metadata.values() if "branch" in data}
    assert 0 < found["0.5"] < found["3.0"]
    assert "mse" not in world.metadata[eid]
