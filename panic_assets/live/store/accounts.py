"""Accounts in the store: who may operate networks, and their logins.

Here belongs keeping people and sessions. Hashing a password and making a token is the web room's: only hashes come
here.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from panic_assets.live.store.columns import new_id
from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import BadValue, NotThere
from panic_assets.live.store.people import Session, User
from panic_assets.live.store.rows import require_user
from panic_assets.live.store.tables import sessions, users


class Accounts(Database):
    """The part of the store that keeps people and their sessions."""

    def create_user(self, email: str, password_hash: str, is_admin: bool = False) -> User:
        """Somebody new. Letters of ``email`` are alike, small or large.

        Raises:
            BadValue: no address, or somebody has it.
        """
        address = _address(email)
        if "@" not in address:
            raise BadValue("email", email, "it is an address with an @")
        statement = (
            self._insert(users)
            .values(
                id=new_id(),
                email=address,
                password_hash=password_hash,
                is_admin=is_admin,
                created_at=self._now(),
            )
            .on_conflict_do_nothing(index_elements=["email"])
            .returning(users)
        )
        with self._writes() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise BadValue("email", address, "somebody has that address already")
        return User(**row._mapping)

    def user_by_email(self, email: str) -> User | None:
        """Whoever has that address, in small or large letters; None if nobody has."""
        return next(iter(self._users(users.c.email == _address(email))), None)

    def user(self, user_id: str) -> User:
        """The user of that id.

        Raises:
            NotThere: there is none.
        """
        found = self._users(users.c.id == user_id)
        if not found:
            raise NotThere("user", user_id)
        return found[0]

    def users(self) -> list[User]:
        """Everybody, the oldest account first."""
        return self._users()

    def set_password(self, user_id: str, password_hash: str) -> None:
        """Another password; all sessions of that user end.

        Raises:
            NotThere: there is no such user.
        """
        with self._writes() as connection:
            changed = users.update().where(users.c.id == user_id).values(password_hash=password_hash)
            if not connection.execute(changed).rowcount:
                raise NotThere("user", user_id)
            connection.execute(sessions.delete().where(sessions.c.user_id == user_id))

    def delete_user(self, user_id: str) -> None:
        """Remove an account with its sessions and tokens; its networks and installations stay, without an owner.

        Raises:
            NotThere: there is no such user.
        """
        with self._writes() as connection:
            if not connection.execute(users.delete().where(users.c.id == user_id)).rowcount:
                raise NotThere("user", user_id)

    def create_session(self, user_id: str, token_hash: str, expires_at: datetime, agent: str = "") -> Session:
        """A login. Sessions that are over are forgotten on the way.

        Raises:
            NotThere: there is no such user.
        """
        now = self._now()
        with self._writes() as connection:
            require_user(connection, user_id)
            connection.execute(sessions.delete().where(sessions.c.expires_at <= now))
            statement = sessions.insert().values(
                token_hash=token_hash, user_id=user_id, agent=agent, created_at=now, expires_at=expires_at
            )
            return Session(**connection.execute(statement.returning(sessions)).one()._mapping)

    def session(self, token_hash: str) -> Session | None:
        """The session of that token, if it holds; None if it is over, revoked, or never was."""
        return next(iter(self._sessions(sessions.c.token_hash == token_hash)), None)

    def extend_session(self, token_hash: str, expires_at: datetime) -> bool:
        """Let a session that holds hold until then; False if it is over, revoked, or never was."""
        with self._writes() as connection:
            holds = sessions.update().where(sessions.c.token_hash == token_hash, sessions.c.expires_at > self._now())
            return connection.execute(holds.values(expires_at=expires_at)).rowcount > 0

    def sessions(self, user_id: str) -> list[Session]:
        """The sessions of a user that hold, the latest first."""
        return self._sessions(sessions.c.user_id == user_id)

    def revoke_session(self, token_hash: str) -> bool:
        """End one session; False if there was none."""
        return self._revoke(sessions.c.token_hash == token_hash) > 0

    def revoke_sessions(self, user_id: str) -> int:
        """End all sessions of a user; how many there were."""
        return self._revoke(sessions.c.user_id == user_id)

    def _users(self, *conditions: sa.ColumnElement[bool]) -> list[User]:
        wanted = sa.select(users).where(*conditions).order_by(users.c.created_at, users.c.id)
        with self._reads() as connection:
            return [User(**row._mapping) for row in connection.execute(wanted)]

    def _sessions(self, condition: sa.ColumnElement[bool]) -> list[Session]:
        wanted = sa.select(sessions).where(condition, sessions.c.expires_at > self._now())
        with self._reads() as connection:
            rows = connection.execute(wanted.order_by(sessions.c.created_at.desc(), sessions.c.token_hash))
            return [Session(**row._mapping) for row in rows]

    def _revoke(self, condition: sa.ColumnElement[bool]) -> int:
        with self._writes() as connection:
            return connection.execute(sessions.delete().where(condition)).rowcount


def _address(email: str) -> str:
    return email.strip().lower()
