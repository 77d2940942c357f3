"""Runs in the store: how they begin and end, and which there are.

Here belong the transitions of a run; those of its invocations are in `invocations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args

import sqlalchemy as sa

from panic_assets.live.records import EndReason, Invocation, Run
from panic_assets.live.store.columns import new_id
from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import AlreadyRunning, BadValue, NotThere
from panic_assets.live.store.rows import as_invocation, as_run
from panic_assets.live.store.settings import to_json
from panic_assets.live.store.tables import invocations, is_running, networks, runs
from panic_assets.live.values import Medium


class Runs(Database):
    """The part of the store that keeps runs."""

    def begin_run(
        self, network_id: str, prompt: str, started_by: str, models: Sequence[str], genesis_medium_out: Medium
    ) -> tuple[Run, Invocation]:
        """A new run with its invocation 0, ready: the prompt goes to the first of ``models``, which gives that medium.

        ``models`` is kept with the run: later changes of the network don't touch it.

        Raises:
            NotThere: there is no such network.
            AlreadyRunning: a run of it goes on.
            BadValue: there is no model.
        """
        kept = to_json("models", tuple(models))
        if not kept:
            raise BadValue("models", (), "a run needs at least one model")
        with self._writes() as connection:
            lockout = connection.scalar(
                sa.select(networks.c.lockout_seconds).where(networks.c.id == network_id).with_for_update()
            )
            if lockout is None:
                raise NotThere("network", network_id)
            now = self._now()
            running = sa.select(runs).where(runs.c.network_id == network_id, is_running)
            if (row := connection.execute(running).one_or_none()) is not None:
                raise AlreadyRunning(as_run(row))
            last = sa.select(sa.func.max(runs.c.number)).where(runs.c.network_id == network_id)
            run = connection.execute(
                runs.insert()
                .values(
                    id=new_id(),
                    network_id=network_id,
                    number=(connection.scalar(last) or 0) + 1,
                    prompt=prompt,
                    started_by=started_by,
                    models=kept,
                    state="running",
                    lockout_until=now + timedelta(seconds=lockout),
                    completed=0,
                    failed=0,
                    cost=0.0,
                    started_at=now,
                )
                .returning(runs)
            ).one()
            genesis = connection.execute(
                invocations.insert()
                .values(
                    id=new_id(),
                    run_id=run.id,
                    network_id=network_id,
                    sequence_number=0,
                    model=kept[0],
                    state="ready",
                    input_medium="text",
                    input_text=prompt,
                    output_medium=genesis_medium_out,
                    attempts=0,
                    created_at=now,
                )
                .returning(invocations)
            ).one()
        return as_run(run), as_invocation(genesis)

    def end_run(self, run_id: str, reason: EndReason, error: str | None = None) -> bool:
        """End a run that goes on, and with it every invocation that is not finished (failed: cancelled).

        False if it had ended already, or is not there: then nothing changes.

        Raises:
            BadValue: there is no such reason.
        """
        if reason not in get_args(EndReason):
            raise BadValue("reason", reason, f"the reasons are {', '.join(get_args(EndReason))}")
        with self._writes() as connection:
            now = self._now()
            ended = connection.execute(
                runs.update()
                .where(runs.c.id == run_id, is_running)
                .values(state="ended", end_reason=reason, error=error, ended_at=now)
            ).rowcount
            if not ended:
                return False
            closed = connection.execute(
                invocations.update()
                .where(invocations.c.run_id == run_id, invocations.c.state.in_(("ready", "invoking")))
                .values(state="failed", error_kind="cancelled", error=f"the run was ended: {reason}", completed_at=now)
            ).rowcount
            if closed:
                connection.execute(runs.update().where(runs.c.id == run_id).values(failed=runs.c.failed + closed))
        return True

    def run(self, run_id: str) -> Run:
        """The run of that id.

        Raises:
            NotThere: there is none.
        """
        found = self._runs(sa.select(runs).where(runs.c.id == run_id))
        if not found:
            raise NotThere("run", run_id)
        return found[0]

    def running_runs(self) -> list[Run]:
        """Every run that goes on, the oldest first."""
        return self._runs(sa.select(runs).where(is_running).order_by(runs.c.started_at, runs.c.id))

    def count_ended(self) -> int:
        """How many runs are over, in all networks: it changes when there are new ones."""
        with self._reads() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).where(runs.c.state == "ended")) or 0)

    def current_run(self, network_id: str) -> Run | None:
        """The latest run of a network, whether or not it goes on; None if it had none."""
        return next(iter(self.runs(network_id, limit=1)), None)

    def runs(self, network_id: str, limit: int = 50, before: int | None = None) -> list[Run]:
        """The runs of a network, the latest first, at most ``limit``; those with numbers below ``before``."""
        wanted = sa.select(runs).where(runs.c.network_id == network_id).order_by(runs.c.number.desc()).limit(limit)
        return self._runs(wanted if before is None else wanted.where(runs.c.number < before))

    def _runs(self, wanted: sa.Select[Any]) -> list[Run]:
        with self._reads() as connection:
            return [as_run(row) for row in connection.execute(wanted)]
