"""When a run goes on, and whether it does: rests by its age, limits, waits between attempts.

Here belong plain functions of numbers; nothing here waits.
"""

from __future__ import annotations

from datetime import datetime

from panic_assets.live.platforms.base import PlatformError
from panic_assets.live.records import EndReason, ErrorAction, Limits, OnError, Pacing, Run


def rest_seconds(pacing: Pacing, age_seconds: float, board_written: bool) -> float:
    """Seconds between an invocation and the next, for a run of that age."""
    rest = next((rest for below, rest in pacing.steps if below is None or age_seconds < below), pacing.steps[-1][1])
    return max(rest, pacing.board_rest) if board_written else rest


def over_limit(limits: Limits, run: Run, now: datetime) -> EndReason | None:
    """Why the run must end before its next invocation; None if it may go on.

    The cost is that of what was billed; the next call may exceed the limit by its own price and no more.
    """
    if limits.invocations is not None and run.completed + run.failed >= limits.invocations:
        return "length"
    if limits.seconds is not None and (now - run.started_at).total_seconds() >= limits.seconds:
        return "duration"
    if limits.cost is not None and run.cost >= limits.cost:
        return "budget"
    return None


def action_on(policy: OnError, error: PlatformError, attempts: int) -> ErrorAction:
    """What is done about an error after so many attempts: a kind that the policy does not name stops the run."""
    action = policy.actions.get(error.kind, "stop")
    return "stop" if action == "retry" and attempts >= policy.attempts else action


def wait_seconds(policy: OnError, error: PlatformError, attempts: int) -> float:
    """Seconds before the next attempt: doubling, unless the platform asks for more; never beyond the longest wait."""
    wait = policy.first_wait * 2 ** (attempts - 1)
    return min(max(wait, error.retry_after or 0.0), policy.longest_wait)


def next_sequence(sequence_number: int, ring: int, skipped: bool) -> int:
    """The place after this one. After a skipped step the ring begins again: at the next multiple of its length."""
    return (sequence_number // ring + 1) * ring if skipped else sequence_number + 1
