"""Whose code may run: the allow-list of repositories, each at one commit.

Here belongs reading ``$PANIC_DATA/remote_code.yaml`` and asking it. It is a file of the person whose machine this is:
no registry entry and no experiment can add to it. Running the code is the business of ``plugins``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from panic_assets.models.entry import ModelEntry, sentence
from panic_assets.models.errors import ModelLoadError, RegistryError
from panic_assets.paths import data_dir

Code = tuple[str, str]
"""A repository, or ``folder:`` and a path; and a commit, or the digest of the folder."""


class Permission(BaseModel):
    """One line of the list: the code of this repository, as it is at this commit, may run in a process of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    repo: str = Field(pattern=r"^([\w.-]+/[\w.-]+|folder:.+)$")
    commit: str = Field(pattern=r"^[0-9a-f]{40}$", description="of a folder its digest")
    reason: str = Field(min_length=1, description="why it is trusted")
    allowed_by: str | None = None
    python: str | None = Field(None, description="interpreter that runs it; none: the one that runs this")


def list_file() -> Path:
    """Where the list lies."""
    return data_dir() / "remote_code.yaml"


def permissions() -> dict[Code, Permission]:
    """The whole list; empty if there is no file.

    Raises:
        RegistryError: the file can't be read, or an item is wrong.
    """
    file = list_file()
    if not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RegistryError(str(file), [f"can't be read: {error}"]) from error
    if not isinstance(content, list):
        raise RegistryError(str(file), ["must hold a list of items with repo, commit and reason"])
    found: dict[Code, Permission] = {}
    problems: list[str] = []
    for number, item in enumerate(content):
        try:
            permission = Permission.model_validate(item)
            found[permission.repo, permission.commit] = permission
        except ValidationError as error:
            problems += [sentence(e, Permission, f"[{number}]") for e in error.errors()]
    if problems:
        raise RegistryError(str(file), problems)
    return found


def require(entry: ModelEntry, codes: Iterable[Code]) -> list[Permission]:
    """The permissions for all of this code, in its order.

    Raises:
        ModelLoadError: one is not given; the text holds the lines that would give it.
        RegistryError: the list is not valid.
    """
    given = permissions()
    wanted = list(codes)
    missing = [code for code in wanted if code not in given]
    if missing:
        lines = "".join(f"\n- repo: {repo}\n  commit: {commit}\n  reason: <why>" for repo, commit in missing)
        what = "it brings code of its own, which runs only if you allow it at this commit"
        remedy = f"Read that code; if you trust it, add to {list_file()}:{lines}"
        raise ModelLoadError(entry.name, str(entry.source), what, remedy)
    return [given[code] for code in wanted]


def folder_code(folder: Path) -> Code:
    """A folder as code: its path, and 40 hexadecimal digits over the names and contents of all files in it."""
    digest = hashlib.blake2b(digest_size=20)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            inside = hashlib.file_digest(content, "blake2b").hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{inside}\n".encode())
    return f"folder:{folder.absolute()}", digest.hexdigest()
