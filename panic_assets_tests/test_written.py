"""Files that people write: values, names, and what is told of files that can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.written import FileProblems, named_values


class Wrong(FileProblems):
    """A kind of file that is wrong."""


def test_yaml_and_json_give_the_same_values_named_by_their_stem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: [1, 2]\n")
    (tmp_path / "a.json").write_text('{"x": [1, 2]}')
    assert (
        named_values(tmp_path / "a.yaml", Wrong)
        == named_values(tmp_path / "a.json", Wrong)
        == {"x": [1, 2], "name": "a"}
    )


def test_a_name_in_the_file_stands(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: b\n")
    assert named_values(tmp_path / "a.yaml", Wrong) == {"name": "b"}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("a.json", b"{", "is not JSON"), ("a.yaml", b"[", "is not YAML"), ("a.yaml", b"\xff\xfe\xfa", "can't be read")],
)
def test_what_is_no_such_file_is_told_of_its_kind(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Wrong, match=told) as caught:
        named_values(tmp_path / name, Wrong)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="can't be read"):
        named_values(tmp_path / "none.yaml", Wrong)


def test_each_problem_is_a_line_under_their_number() -> None:
    assert str(FileProblems("f", ["one"])) == "f: 1 problem\n  - one"
    assert str(FileProblems("f", ["one", "two"])) == "f: 2 problems\n  - one\n  - two"
