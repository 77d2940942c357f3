from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.live.networks import NotRunnable, check_ring, require_runnable
from panic_assets.live.platforms.base import LiveModel

_LETTERS = {"t": "text", "i": "image", "a": "audio"}
CATALOG = {
    f"{takes}2{gives}": LiveModel(
        f"{takes}2{gives}",
        f"{takes} to {gives}",
        "dummy",
        "",
        _LETTERS[takes],
        _LETTERS[gives],
        deprecated=takes == "a",
    )
    for takes, gives in product("tia", repeat=2)
}


@pytest.mark.parametrize(
    "models",
    [["t2t"], ["t2t"] * 5, ["t2i", "i2t"], ["t2a", "a2t"], ["t2i", "i2a", "a2t"], ["t2i", "i2t", "t2i", "i2t"]],
)
def test_a_ring_whose_links_fit_runs(models):
    assert check_ring(models, CATALOG) == []
    require_runnable("ring", models, CATALOG)


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([], [["no models"]]),
        (["i2t"], [["model 1 (i2t) takes image", "prompt is text"], ["gives text", "takes image"]]),
        (["t2i"], [["last model (t2i) gives image", "takes text"]]),
        (["t2i", "a2t"], [["model 1 (t2i) gives image", "model 2 (a2t) takes audio"]]),
        (["gone"], [["'gone'"]]),
        (["t2i", "gone", "t2a", "gone"], [["'gone'"]]),
        (["i2a", "gone", "t2i", "a2i"], [["'gone'"], ["model 1 (i2a)"], ["model 3 (t2i)", "model 4 (a2i)"]]),
        (["i2a", "t2i", "a2t"], [["model 1"], ["model 1", "model 2"], ["model 2", "model 3"], ["last model (a2t)"]]),
    ],
)
def test_everything_that_is_wrong_is_said_in_the_order_of_the_ring(models, words):
    problems = check_ring(models, CATALOG)
    assert len(problems) == len(words), problems
    for problem, wanted in zip(problems, words, strict=True):
        assert all(word in problem for word in wanted), problem
    with pytest.raises(NotRunnable, match="ring") as caught:
        require_runnable("ring", models, CATALOG)
    assert caught.value.problems == tuple(problems)
    assert all(problem in str(caught.value) for problem in problems)


@given(st.lists(st.sampled_from(sorted(CATALOG)), min_size=1, max_size=6))
def test_the_number_of_problems_is_the_number_of_links_that_do_not_fit(models):
    media = ["text", *[medium for model in models for medium in (CATALOG[model].takes, CATALOG[model].gives)]]
    media.append(CATALOG[models[0]].takes)
    links = list(zip(media[::2], media[1::2], strict=True))
    assert len(check_ring(models, CATALOG)) == sum(gives != takes for gives, takes in links)
