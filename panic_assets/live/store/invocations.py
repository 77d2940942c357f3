"""Invocations in the store: one call of a model, from ready to completed or failed.

Here belong the transitions of an invocation. Each is a compare-and-set: it takes place, with what it adds to the
counters of the run, or it does not and changes nothing. Of several callers exactly one sees True.

The run's row is always taken before the invocation's: so two transactions never wait for each other, and no
invocation slips into a run that is being ended.
"""

from __future__ import annotations

import math
from typing import Any, get_args

import sqlalchemy as sa

from panic_assets.live.records import ErrorKind, Invocation
from panic_assets.live.store.columns import check_cost, new_id
from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import BadValue, NotThere
from panic_assets.live.store.rows import as_invocation
from panic_assets.live.store.tables import invocations, is_invoking, is_running, runs
from panic_assets.live.values import Medium, Value


class Invocations(Database):
    """The part of the store that keeps invocations."""

    def add_invocation(
        self, run_id: str, sequence_number: int, model: str, input: Value, output_medium: Medium
    ) -> Invocation | None:
        """The next call of a run, ready. ``input`` is a text, or a medium with its key in the archive.

        None, and nothing changes, if the run has ended, or if it has an invocation of that number already.

        Raises:
            BadValue: the input has neither text nor key, or both; or the number is negative.
        """
        if (input.text is None) == (input.key is None):
            raise BadValue("input", (input.text, input.key), "it has a text, or a key in the archive")
        if sequence_number < 0:
            raise BadValue("sequence_number", sequence_number, "it counts from 0")
        with self._writes() as connection:
            network_id = connection.scalar(
                sa.select(runs.c.network_id).where(runs.c.id == run_id, is_running).with_for_update()
            )
            if network_id is None:
                return None
            statement = self._insert(invocations).values(
                id=new_id(),
                run_id=run_id,
                network_id=network_id,
                sequence_number=sequence_number,
                model=model,
                state="ready",
                input_medium=input.medium,
                input_text=input.text,
                input_key=input.key,
                output_medium=output_medium,
                attempts=0,
                created_at=self._now(),
            )
            statement = statement.on_conflict_do_nothing(index_elements=["run_id", "sequence_number"])
            row = connection.execute(statement.returning(invocations)).one_or_none()
        return None if row is None else as_invocation(row)

    def claim(self, invocation_id: str) -> bool:
        """Ready to invoking, and one attempt more: who gets True makes the call. Never in a run that has ended."""
        alive = sa.exists().where(runs.c.id == invocations.c.run_id, is_running)
        return self._moves(
            invocation_id, "ready", alive, state="invoking", attempts=invocations.c.attempts + 1, started_at=self._now()
        )

    def set_upstream(self, invocation_id: str, upstream_id: str) -> bool:
        """Remember the platform's name of the call that is being made, so that it can be resumed or cancelled."""
        return self._moves(invocation_id, "invoking", upstream_id=upstream_id)

    def complete(
        self,
        invocation_id: str,
        output_text: str | None,
        output_key: str | None,
        latency_seconds: float | None,
        cost: float | None,
        seed: int | None = None,
    ) -> bool:
        """Invoking to completed, with its output; the run has one completed more and costs that much more.

        ``seed``: the number that the noise was drawn from, where the platform tells.

        Raises:
            BadValue: the output has neither text nor key, or both; or the cost or latency can't be.
        """
        if (output_text is None) == (output_key is None):
            raise BadValue("output", (output_text, output_key), "it has a text, or a key in the archive")
        if latency_seconds is not None and not (math.isfinite(latency_seconds) and latency_seconds >= 0):
            raise BadValue("latency_seconds", latency_seconds, "it is 0 or more")
        return self._moves(
            invocation_id,
            "invoking",
            bill=cost,
            count="completed",
            state="completed",
            output_text=output_text,
            output_key=output_key,
            latency_seconds=latency_seconds,
            seed=seed,
            error_kind=None,
            error=None,
            completed_at=self._now(),
        )

    def give_back(self, invocation_id: str, kind: ErrorKind, error: str, cost: float | None = None) -> bool:
        """Invoking to ready, to be tried again; what the attempt cost all the same is added to the run.

        Raises:
            BadValue: there is no such kind of error, or the cost can't be.
        """
        _check_kind(kind)
        return self._moves(
            invocation_id, "invoking", bill=cost, state="ready", error_kind=kind, error=error, upstream_id=None
        )

    def fail(self, invocation_id: str, kind: ErrorKind, error: str, cost: float | None = None) -> bool:
        """Ready or invoking to failed; the run has one failed more, and costs more if the attempt did.

        Raises:
            BadValue: there is no such kind of error, or the cost can't be.
        """
        _check_kind(kind)
        return self._moves(
            invocation_id,
            ("ready", "invoking"),
            bill=cost,
            count="failed",
            state="failed",
            error_kind=kind,
            error=error,
            completed_at=self._now(),
        )

    def invocation(self, invocation_id: str) -> Invocation:
        """The invocation of that id.

        Raises:
            NotThere: there is none.
        """
        found = self._invocations(sa.select(invocations).where(invocations.c.id == invocation_id))
        if not found:
            raise NotThere("invocation", invocation_id)
        return found[0]

    def invocations(self, run_id: str, after: int = -1, limit: int | None = None) -> list[Invocation]:
        """Those of a run with sequence numbers above ``after``, in order; at most ``limit``."""
        wanted = sa.select(invocations).where(invocations.c.run_id == run_id, invocations.c.sequence_number > after)
        return self._invocations(wanted.order_by(invocations.c.sequence_number).limit(limit))

    def last_invocations(self, run_id: str, count: int) -> list[Invocation]:
        """The last ``count`` of a run, in order."""
        wanted = sa.select(invocations).where(invocations.c.run_id == run_id)
        return self._invocations(wanted.order_by(invocations.c.sequence_number.desc()).limit(count))[::-1]

    def unfinished(self) -> list[Invocation]:
        """Every call that is being made, or was when its program died; the oldest first."""
        wanted = sa.select(invocations).where(is_invoking)
        return self._invocations(wanted.order_by(invocations.c.started_at, invocations.c.id))

    def _invocations(self, wanted: sa.Select[Any]) -> list[Invocation]:
        with self._reads() as connection:
            return [as_invocation(row) for row in connection.execute(wanted)]

    def _moves(
        self,
        invocation_id: str,
        states: str | tuple[str, ...],
        *conditions: sa.ColumnElement[bool],
        bill: float | None = None,
        count: str | None = None,
        **values: Any,
    ) -> bool:
        """Set ``values`` if the invocation is in one of ``states``, and count and bill it with its run."""
        check_cost(bill)
        if bill is not None:
            values["cost"] = sa.func.coalesce(invocations.c.cost, 0) + bill
        with self._writes() as connection:
            run_id = connection.scalar(
                sa.select(runs.c.id)
                .join(invocations, invocations.c.run_id == runs.c.id)
                .where(invocations.c.id == invocation_id)
                .with_for_update(of=runs)
            )
            wanted = (states,) if isinstance(states, str) else states
            moved = connection.execute(
                invocations.update()
                .where(invocations.c.id == invocation_id, invocations.c.state.in_(wanted), *conditions)
                .values(**values)
            ).rowcount
            added: dict[str, Any] = {}
            if count is not None:
                added[count] = runs.c[count] + 1
            if bill is not None:
                added["cost"] = runs.c.cost + bill
            if moved and added:
                connection.execute(runs.update().where(runs.c.id == run_id).values(**added))
        return bool(moved)


def _check_kind(kind: str) -> None:
    if kind not in get_args(ErrorKind):
        raise BadValue("kind", kind, f"the kinds of errors are {', '.join(get_args(ErrorKind))}")
