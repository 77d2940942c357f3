"""What can go wrong in the live store, each error with what, where and what to do.

Here belong the exceptions, and the words for what a database driver says; who raises them is in their docstrings.
"""

from __future__ import annotations

from collections.abc import Sequence

from panic_assets.errors import PanicError
from panic_assets.live.records import Run


class LiveStoreError(PanicError):
    """A problem of the live store. The transaction it happened in changed nothing."""


class NotThere(LiveStoreError):
    """Nothing has that id; ``what`` says of which kind it would be."""

    def __init__(self, what: str, key: str) -> None:
        self.what, self.key = what, key
        super().__init__(f"there is no {what} {key!r}; it may have been deleted")


class BadValue(LiveStoreError):
    """A value that a field can't have; names the field, the value and what would be right."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field = field
        super().__init__(f"{field} can't be {value!r}: {remedy}")


class AlreadyRunning(LiveStoreError):
    """The network has a run already: ``run``."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(f"network {run.network_id} is running already (run {run.number}); end that run first")


class StillRunning(LiveStoreError):
    """A network can't go while it runs; ``run`` is what runs."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(f"network {run.network_id} is running (run {run.number}); stop it, then delete it")


class StillFollowed(LiveStoreError):
    """A network can't go while screens follow it; ``installations`` has the names of theirs."""

    def __init__(self, network_id: str, installations: Sequence[str]) -> None:
        self.installations = tuple(installations)
        super().__init__(
            f"network {network_id} is followed by {', '.join(installations)}; "
            "move or delete these installations, then delete it"
        )


#: What a driver says (in part, lower case) and what it means for a person, with the remedy.
_MEANINGS = (
    ("no module named", "the driver of that database is not installed; pip install 'panic-assets[postgresql]'"),
    ("can't load plugin", "there is no such kind of database; use sqlite:///folder/live.db or postgresql+psycopg://"),
    ("constraint failed", "a rule of its tables would be broken, which is a defect of panic_assets; please report it"),
    ("violates", "a rule of its tables would be broken, which is a defect of panic_assets; please report it"),
    ("locked", "another program has been writing to it for too long; see what else has it open, then try again"),
    ("busy", "another program has been writing to it for too long; see what else has it open, then try again"),
    ("disk is full", "the disk is full; free some space, then try again"),
    ("disk i/o", "the disk could not be read or written; look at the disk, and restore the last backup if need be"),
    ("readonly", "it may only be read; give this user the right to write the file and its folder"),
    ("read-only", "it may only be read; give this user the right to write"),
    ("unable to open", "it can't be opened; see that the folder is there and that this user may write to it"),
    ("not a database", "the file is no database; name another, or restore a backup"),
    ("malformed", "the file is damaged; restore the last backup"),
    ("no such table", "it has no tables of ours yet; call migrate() first"),
    ("does not exist", "something is missing in it; call migrate() first, and see that the database itself exists"),
    ("connection", "the server can't be reached; see that it runs and that the address and the password are right"),
)


def described(place: str, said: str, what: str = "live store") -> LiveStoreError:
    """What a driver said about the database at ``place``, put so that a person can act on it."""
    low = said.lower()
    meaning = next((meaning for words, meaning in _MEANINGS if words in low), "see what the database itself reports")
    first_line = said.strip().splitlines()[0] if said.strip() else "no reason given"
    return LiveStoreError(f"the {what} {place} failed ({first_line}): {meaning}. Nothing was changed by this step")
