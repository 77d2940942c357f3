from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.errors import PanicError
from panic_assets.live.platforms.base import PlatformError
from panic_assets.live.secrets import KEY_VARIABLE, Secrets
from panic_assets_tests.live.platforms.parts import KEY

NAME = "OPENAI_API_KEY"


class Kept:
    """A store in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def put_secret(self, name: str, ciphertext: bytes) -> None:
        self.rows[name] = ciphertext

    def secret(self, name: str) -> bytes | None:
        return self.rows.get(name)

    def secret_names(self) -> list[str]:
        return sorted(self.rows)

    def delete_secret(self, name: str) -> bool:
        return self.rows.pop(name, None) is not None


def test_kept_encrypted_and_found_again(data: Path) -> None:
    store = Kept()
    Secrets(store, environment={}).put(NAME, f" {KEY}\n")
    assert KEY.encode() not in store.rows[NAME]
    file = data / "secrets.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in data.iterdir()] == ["secrets.key"]
    assert Secrets(store, environment={}).get(NAME) == KEY, "the same key file serves from then on"


def test_the_environment_goes_first(tmp_path: Path) -> None:
    store = Kept()
    secrets = Secrets(store, tmp_path / "key", {NAME: " theirs ", "EMPTY": " "})
    secrets.put(NAME, "mine")
    secrets.put("OTHER", "other")
    assert secrets.get(NAME) == "theirs"
    assert secrets.origins([NAME, "OTHER", "EMPTY"]) == {NAME: "environment", "OTHER": "store", "EMPTY": None}
    secrets.delete("OTHER")
    with pytest.raises(PlatformError) as caught:
        secrets.get("OTHER")
    assert caught.value.kind == "auth"
    with pytest.raises(PlatformError):
        Secrets(None, tmp_path / "key", {}).get(NAME)


def test_a_key_from_the_environment_needs_no_file(tmp_path: Path) -> None:
    store, file = Kept(), tmp_path / "key"
    environment = {KEY_VARIABLE: Fernet.generate_key().decode()}
    Secrets(store, file, environment).put(NAME, KEY)
    assert Secrets(store, file, environment).get(NAME) == KEY
    assert not file.exists()


def test_what_can_not_be_decrypted(tmp_path: Path) -> None:
    store, file = Kept(), tmp_path / "key"
    secrets = Secrets(store, file, {})
    secrets.put(NAME, KEY)
    others = Secrets(store, file, {KEY_VARIABLE: Fernet.generate_key().decode()})
    with pytest.raises(PlatformError, match="another key"):
        others.get(NAME)
    file.chmod(0o644)
    with pytest.raises(PlatformError, match="chmod 600"):
        secrets.get(NAME)
    file.unlink()
    with pytest.raises(PlatformError, match="can't be read"):
        secrets.get(NAME)
    assert not file.exists(), "reading makes no key"
    file.write_text("no key")
    file.chmod(0o600)
    with pytest.raises(PlatformError, match="holds no key for secrets"):
        secrets.get(NAME)


@pytest.mark.parametrize("name", ["", "lower", "A B", "../A", "1A", "A" * 101])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(PanicError):
        Secrets(Kept(), tmp_path / "key", {}).put(name, KEY)


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=80))
def test_any_key_comes_back_and_shows_nowhere(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    store = Kept()
    secrets = Secrets(store, tmp_path_factory.getbasetemp() / "shared.key", {})
    secrets.put(NAME, key)
    assert secrets.get(NAME) == key
    assert key not in repr(secrets) + str(vars(secrets))


def test_a_refused_key_is_not_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(PanicError) as caught:
        Secrets(Kept(), tmp_path / "key", {}).put(NAME, f"{KEY} with words")
    assert KEY not in str(caught.value) + caplog.text
    with pytest.raises(PanicError):
        Secrets(None, tmp_path / "key", {}).put(NAME, KEY)
