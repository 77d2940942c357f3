"""``docs/studies.md``: what it says is shown by tests that exist, and its file is a study."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from panic_assets.studies.spec import StudySpec
from panic_assets_tests.pages import assert_tests_exist, page

PAGE = page("studies.md")


def test_every_test_that_the_page_names_is_there() -> None:
    assert_tests_exist(PAGE, least=40, other_words=("test_accuracy", "test_accuracy_unseen"))


def test_the_file_of_the_page_is_a_study(tmp_path: Path) -> None:
    written = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert written
    (tmp_path / "page.yaml").write_text(written[1], encoding="utf-8")
    spec = StudySpec.load(tmp_path / "page.yaml")
    assert spec.task == yaml.safe_load(written[1])["task"]
    assert set(spec.arms) == {"none", "spectral_norm", "dropout"}
