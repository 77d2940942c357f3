"""Tokens of programs, and counts of attempts.

Here belongs what guards the doors: API tokens by their hashes, and how often a door was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from panic_assets.live.store.columns import new_id
from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import BadValue
from panic_assets.live.store.people import ApiToken, Attempts
from panic_assets.live.store.rows import Row, require_user
from panic_assets.live.store.settings import from_json, to_json
from panic_assets.live.store.tables import api_tokens
from panic_assets.live.store.tables import attempts as attempts_table

#: Using a token is written down at most this often, so that a busy program does not write at every call.
_USE_NOTED_EVERY = timedelta(minutes=1)


class Tokens(Database):
    """The part of the store that keeps API tokens and attempts."""

    def create_api_token(
        self, user_id: str, name: str, token_hash: str, scopes: Sequence[str], expires_at: datetime | None = None
    ) -> ApiToken:
        """A token for a program that may do what ``scopes`` name, until ``expires_at`` or for good.

        Raises:
            NotThere: there is no such user.
        """
        statement = api_tokens.insert().values(
            id=new_id(),
            user_id=user_id,
            name=name,
            token_hash=token_hash,
            scopes=to_json("scopes", tuple(scopes)),
            created_at=self._now(),
            expires_at=expires_at,
        )
        with self._writes() as connection:
            require_user(connection, user_id)
            return _token(connection.execute(statement.returning(api_tokens)).one())

    def api_token(self, token_hash: str) -> ApiToken | None:
        """The token of that hash, if it holds; None if it is over, revoked, or never was. It counts as used."""
        now = self._now()
        holds = sa.and_(
            api_tokens.c.token_hash == token_hash,
            api_tokens.c.revoked_at.is_(None),
            sa.or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > now),
        )
        with self._reads() as connection:
            row = connection.execute(sa.select(api_tokens).where(holds)).one_or_none()
        if row is None or (row.last_used_at is not None and now - row.last_used_at < _USE_NOTED_EVERY):
            return None if row is None else _token(row)
        with self._writes() as connection:
            used = api_tokens.update().where(holds).values(last_used_at=now).returning(api_tokens)
            row = connection.execute(used).one_or_none()
        return None if row is None else _token(row)

    def api_tokens(self, user_id: str | None = None) -> list[ApiToken]:
        """All tokens, or those of one user, revoked ones too; the oldest first."""
        wanted = sa.select(api_tokens).order_by(api_tokens.c.created_at, api_tokens.c.id)
        with self._reads() as connection:
            found = wanted if user_id is None else wanted.where(api_tokens.c.user_id == user_id)
            return [_token(row) for row in connection.execute(found)]

    def revoke_api_token(self, token_id: str) -> bool:
        """End a token for good; False if it had ended so before, or never was."""
        statement = (
            api_tokens.update()
            .where(api_tokens.c.id == token_id, api_tokens.c.revoked_at.is_(None))
            .values(revoked_at=self._now())
        )
        with self._writes() as connection:
            return connection.execute(statement).rowcount > 0

    def add_attempt(self, key: str, window_seconds: int) -> Attempts:
        """Count one attempt, and say how many there are in the window that the first of them opened.

        Counts outlive a restart. Windows that are over are forgotten on the way, so that the table stays small.

        Raises:
            BadValue: the window is shorter than a second.
        """
        if window_seconds < 1:
            raise BadValue("window_seconds", window_seconds, "a window is 1 second or more")
        now = self._now()
        fresh = {"number": 1, "until": now + timedelta(seconds=window_seconds)}
        statement = self._insert(attempts_table).values(key=key, window_seconds=window_seconds, **fresh)
        statement = statement.on_conflict_do_update(
            index_elements=["key", "window_seconds"], set_={"number": attempts_table.c.number + 1}
        ).returning(attempts_table.c.number, attempts_table.c.until)
        with self._writes() as connection:
            connection.execute(attempts_table.delete().where(attempts_table.c.until <= now))
            number, until = connection.execute(statement).one()
        return Attempts(number, until)

    def attempts(self, key: str, window_seconds: int) -> Attempts:
        """How many attempts there are in the present window, without counting one."""
        now = self._now()
        wanted = sa.select(attempts_table.c.number, attempts_table.c.until).where(
            attempts_table.c.key == key,
            attempts_table.c.window_seconds == window_seconds,
            attempts_table.c.until > now,
        )
        with self._reads() as connection:
            row = connection.execute(wanted).one_or_none()
        return Attempts(*row) if row else Attempts(0, now + timedelta(seconds=window_seconds))

    def clear_attempts(self, key: str) -> None:
        """Forget the attempts of a key, such as after the right password."""
        with self._writes() as connection:
            connection.execute(attempts_table.delete().where(attempts_table.c.key == key))


def _token(row: Row) -> ApiToken:
    return ApiToken(**from_json(row, "api_tokens", "scopes"))
