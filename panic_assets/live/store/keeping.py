"""The audit log, and the keys of platforms.

Here belongs keeping both. Keys come encrypted: the store never sees one in the clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from panic_assets.live.store.database import Database
from panic_assets.live.store.people import AuditEntry
from panic_assets.live.store.tables import audit_entries, platform_secrets


class Keeping(Database):
    """The part of the store that keeps the audit log and encrypted keys."""

    def audit(self, actor: str, action: str, target: str, details: Mapping[str, Any] | None = None) -> AuditEntry:
        """Write down who did what to what; ``details`` is ready for JSON, without secrets. Entries never change."""
        values = {"at": self._now(), "actor": actor, "action": action, "target": target, "details": dict(details or {})}
        with self._writes() as connection:
            row = connection.execute(audit_entries.insert().values(values).returning(audit_entries)).one()
        return AuditEntry(**row._mapping)

    def audit_log(self, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """The latest entries first, at most ``limit``; those with numbers below ``before``."""
        wanted = sa.select(audit_entries).order_by(audit_entries.c.number.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(audit_entries.c.number < before)
        with self._reads() as connection:
            return [AuditEntry(**row._mapping) for row in connection.execute(wanted)]

    def put_secret(self, name: str, ciphertext: bytes) -> None:
        """Keep an encrypted key, in place of one of that name."""
        values = {"ciphertext": ciphertext, "updated_at": self._now()}
        statement = self._insert(platform_secrets).values(name=name, **values)
        with self._writes() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    def secret(self, name: str) -> bytes | None:
        """The encrypted key of that name; None if there is none."""
        wanted = sa.select(platform_secrets.c.ciphertext).where(platform_secrets.c.name == name)
        with self._reads() as connection:
            found = connection.scalar(wanted)
        return None if found is None else bytes(found)

    def secret_names(self) -> list[str]:
        """The names of all keys, in order."""
        with self._reads() as connection:
            return list(connection.scalars(sa.select(platform_secrets.c.name).order_by(platform_secrets.c.name)))

    def delete_secret(self, name: str) -> bool:
        """Forget a key; False if there was none."""
        with self._writes() as connection:
            gone = connection.execute(platform_secrets.delete().where(platform_secrets.c.name == name))
            return gone.rowcount > 0
