"""Many callers share a commit, and none pays for another."""

from __future__ import annotations

import threading

import pytest

from panic_assets.studies.events.grouping import Group


def test_who_comes_during_a_commit_shares_the_next_one():
    sizes: list[int] = []
    under_way, go_on = threading.Event(), threading.Event()

    def commit(jobs):
        sizes.append(len(jobs))
        under_way.set()
        assert go_on.wait(10)
        return [job * 2 for job in jobs]

    group: Group[int, int] = Group(commit)
    results: dict[int, int] = {}

    def submit(job: int) -> None:
        results[job] = group.submit(job)

    threads = [threading.Thread(target=submit, args=(job,)) for job in range(10)]
    threads[0].start()
    assert under_way.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < 9:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert results == {job: job * 2 for job in range(10)}
    assert sizes == [1, 9]


def test_a_job_that_fails_does_not_take_others_along():
    inside, go_on = threading.Event(), threading.Event()

    def commit(jobs):
        if jobs == ["first"]:
            inside.set()
            assert go_on.wait(10)
        if "bad" in jobs:
            raise ValueError("bad")
        return [job.upper() for job in jobs]

    group: Group[str, str] = Group(commit)
    results: dict[str, str] = {}

    def submit(job: str) -> None:
        try:
            results[job] = group.submit(job)
        except ValueError as error:
            results[job] = f"refused: {error}"

    threads = [threading.Thread(target=submit, args=(job,)) for job in ("first", "bad", "good")]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < 2:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert results == {"first": "FIRST", "bad": "refused: bad", "good": "GOOD"}
    with pytest.raises(ValueError, match="bad"):
        group.submit("bad")
    assert group.submit("again") == "AGAIN"
