"""Errors of the codec: each is also the built-in error that stands for it."""

from __future__ import annotations

import pytest

from panic_assets.codec import errors
from panic_assets.errors import PanicError

_BUILT_IN = {
    errors.WrongBytes: ValueError,
    errors.WrongVersion: ValueError,
    errors.MissingModel: FileNotFoundError,
    errors.MissingComponent: KeyError,
    errors.ArenaFull: MemoryError,
    errors.StaleReference: ValueError,
    errors.OutOfBounds: IndexError,
    errors.UnfitValue: ValueError,
    errors.UnmetDependency: RuntimeError,
    errors.WrongThread: RuntimeError,
}


@pytest.mark.parametrize(("kind", "built_in"), _BUILT_IN.items())
def test_errors_are_caught_by_either_name_and_read_as_written(kind: type[Exception], built_in: type[Exception]) -> None:
    for caught in (built_in, errors.CodecError, PanicError):
        with pytest.raises(caught) as e:
            raise kind("what, where, and the 'remedy'")
        assert str(e.value) == "what, where, and the 'remedy'"


def test_a_wrong_model_names_both() -> None:
    problem = errors.WrongModel("a.plc", "aaaa", "bbbb")
    assert (problem.written_by, problem.at_hand) == ("aaaa", "bbbb")
    assert "a.plc" in str(problem)
    assert str(problem).index("aaaa") < str(problem).index("bbbb")
