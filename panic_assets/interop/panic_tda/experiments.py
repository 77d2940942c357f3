"""One experiment of the source and the partition that it becomes.

Here belongs the course of its import: what is new, what has changed, what is left alone. How the rows of a run are made
is the matter of ``runs``, in what order they are written that of ``partition``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from panic_assets.experiment import Experiment, ExperimentError
from panic_assets.files import ExperimentFiles
from panic_assets.interop.panic_tda import shared_rows
from panic_assets.interop.panic_tda.context import Context, refuse_children
from panic_assets.interop.panic_tda.experiment_file import write_file
from panic_assets.interop.panic_tda.mapping import SYSTEM, experiment_key, experiment_of, number_runs
from panic_assets.interop.panic_tda.partition import Nowhere, Partition, Sink
from panic_assets.interop.panic_tda.records import (
    Rejected,
    SourceClustering,
    SourceExperiment,
    SourceRun,
)
from panic_assets.interop.panic_tda.report import (
    DOUBTFUL,
    IMPORTED,
    REFUSED,
    SKIPPED,
    Quarantine,
    Report,
    Tally,
    rejected,
)
from panic_assets.interop.panic_tda.runs import RunImport
from panic_assets.interop.panic_tda.source import Source
from panic_assets.interop.panic_tda.vectors import Spaces, sizes_of
from panic_assets.lake import Lake
from panic_assets.loop.planning import RunPlan, register, replace_rows, run_row

#: Runs whose vectors decide what dimension a model has: so many that a few broken ones don't.
_SAMPLED_RUNS = 8
_Numbered = list[tuple[RunPlan, SourceRun]]


@dataclass(frozen=True)
class Surroundings:
    """What the experiments of one import share."""

    source: Source
    file_name: str
    data: Path
    clusterings: Mapping[str, SourceClustering]
    report: Report
    quarantine: Quarantine
    threads: ThreadPoolExecutor
    dry_run: bool
    skip_diagrams: bool
    timezone: str
    on_rows: Callable[[int], None]
    keys: set[str] = field(default_factory=set)  # given to experiments so far, also if nothing is written

    def refuse_experiment(self, row: Rejected, key: str | None) -> None:
        """Reject an experiment with all that hangs on it."""
        tally = self.report.tally
        self.quarantine.reject(tally, row, key)
        reason = f"its experiment {row.source_id} was not imported"
        for run in self.source.runs(row.source_id):
            refused = run if isinstance(run, Rejected) else rejected(run, "parent_rejected", reason)
            self.refuse_run(tally, refused, key)
        for record in self.source.exponents(row.source_id):
            refused = record if isinstance(record, Rejected) else rejected(record, "parent_rejected", reason)
            self.quarantine.reject(tally, refused, key)

    def refuse_run(self, tally: Tally, row: Rejected, key: str | None) -> None:
        """Reject a run with all that hangs on it."""
        self.quarantine.reject(tally, row, key)
        refuse_children(self.source, row.source_id, lambda child: self.quarantine.reject(tally, child, key))


class ExperimentImport:
    """The import of one experiment."""

    def __init__(self, surroundings: Surroundings, source: SourceExperiment) -> None:
        self._about, self._source = surroundings, source
        self._lake = Lake(surroundings.data / "lake")
        self._files = ExperimentFiles(surroundings.data / "experiments")
        self._key = self._name()
        surroundings.keys.add(self._key)
        self._tally = Tally()
        self._context = Context(
            surroundings.source,
            self._key,
            surroundings.quarantine,
            surroundings.threads,
            surroundings.clusterings,
            surroundings.skip_diagrams,
            surroundings.on_rows,
        )

    def run(self) -> set[str]:
        """Bring the partition up to date with the source; the clusterings that assign some of its outputs.

        Raises:
            PartitionLocked: somebody else is at work on it.
            LakeError: a table can't be read or written.
        """
        about, key = self._about, self._key
        held = self._files.read()[0].get(key)
        try:
            experiment = experiment_of(key, self._source, about.file_name, held[1].config if held else None)
        except ExperimentError as error:
            row = rejected(self._source, "not_an_experiment", "; ".join(error.problems))
            about.refuse_experiment(row, key)
            return set()
        self._tally.add("experiments", IMPORTED)
        numbered = number_runs(self._source, self._runs(), self._lake.read("runs", key).to_pylist())
        self._sizes = partial(sizes_of, about.source, [run.source_id for _, run in numbered[:_SAMPLED_RUNS]])
        self._context.spaces = Spaces(sizes=self._sizes)
        if about.dry_run:
            for plan, run in numbered:
                self._import_run(Nowhere(), plan, run, "")
            self._exponents()
        else:
            self._write(experiment, numbered)
            # Last, as a sensor runs what is there: the partition is whole by then, and its locks are free.
            write_file(self._files, experiment)
        about.report.tally.merge(self._tally)
        facts = {"experiment": key, "source_id": self._source.source_id, "runs": len(numbered)}
        about.report.experiments.append(facts | {"rows": self._tally.plain})
        return self._context.assigned

    def _name(self) -> str:
        """The partition: the one that the experiment has, or a name that nothing else bears."""
        rows = self._lake.read("imported_experiments", columns=["experiment", "source_id"]).to_pylist()
        owners = {row["source_id"]: str(row["experiment"]) for row in rows}
        if self._source.source_id in owners:
            return owners[self._source.source_id]
        files, broken = self._files.read()
        taken = {*owners.values(), *self._lake.experiments("experiments"), *files, *(path.stem for path in broken)}
        return experiment_key(self._source.source_id, (taken | self._about.keys).__contains__)

    def _runs(self) -> list[SourceRun]:
        runs = []
        for run in self._about.source.runs(self._source.source_id):
            if isinstance(run, SourceRun) and run.network:
                runs.append(run)
                continue
            row = run if isinstance(run, Rejected) else rejected(run, "empty_network", "its network has no model")
            self._about.refuse_run(self._tally, row, self._key)
        return runs

    def _write(self, experiment: Experiment, numbered: _Numbered) -> None:
        context = self._context
        with Partition(self._lake, self._key, self._about.report.written) as partition:
            partition.describe(self._description())
            self._plan(experiment, [plan for plan, _ in numbered])
            finished = partition.finished()
            stamps = {plan.run_number: self._fingerprint(run) for plan, run in numbered}
            self._recall(partition)
            new, without = self._pending(numbered, finished, stamps)
            rewritten = new & set(finished)
            if new or without or not partition.is_whole:
                partition.begin(rewritten)
            if without:
                partition.drop_diagrams(without)
            self._recall(partition)
            for plan, run in numbered:
                number = plan.run_number
                if number in new:
                    self._import_run(partition, plan, run, stamps[number])
                elif number in without:
                    self._add_diagrams(partition, plan, run, finished[number])
                else:
                    self._leave(plan, run, finished[number])
                partition.commit_if_due()
            clusterings = [
                self._about.clusterings[name] for name in sorted(context.assigned & set(self._about.clusterings))
            ]
            rows = [shared_rows.clustering_row(self._key, clustering) for clustering in clusterings]
            partition.replace("imported_clusterings", rows)
            partition.replace("imported_exponents", self._exponents())
            partition.end(bool(rewritten))

    def _recall(self, partition: Partition) -> None:
        """What earlier imports decided about models, as far as their rows are there."""
        context = self._context
        context.media, context.spaces = partition.media(), Spaces(partition.spaces(), self._sizes)
        context.assigned = partition.assigned()

    def _pending(
        self, numbered: _Numbered, finished: Mapping[int, Mapping[str, Any]], stamps: Mapping[int, str]
    ) -> tuple[set[int], set[int]]:
        """Numbers of the runs to import, and of those that lack nothing but diagrams, which an option left out once."""
        new, without = set[int](), set[int]()
        runs = {plan.run_number: (plan, run) for plan, run in numbered}
        for number, stamp in stamps.items():
            held = finished.get(number)
            if held is None or held["fingerprint"] != stamp:
                new.add(number)
                continue
            tally = Tally(json.loads(held["tally"]))
            if _has_to_be_told(tally) and self._is_repaired(*runs[number], tally):
                new.add(number)
            elif tally.of("diagrams", SKIPPED) and not self._about.skip_diagrams:
                (new if _has_to_be_told(tally) else without).add(number)
        return new, without

    def _is_repaired(self, plan: RunPlan, run: SourceRun, before: Tally) -> bool:
        """Whether a run with broken rows would be judged otherwise now; that it has as many rows does not tell."""
        silent = Report("", self._about.report.era, "", {}, None)
        context = replace(self._context, quarantine=Quarantine(silent), on_rows=lambda rows: None)
        imported = RunImport(context, plan, run, Nowhere())
        imported.import_all("")
        now = imported.tally.plain
        return any(now.get(table) != before.plain.get(table) for table in (*now, *before.plain) if table != "diagrams")

    def _plan(self, experiment: Experiment, plans: list[RunPlan]) -> None:
        """Tables ``runs`` and ``prompts``, which keep what the source has no more; and ``experiments``."""
        key = self._key
        runs = {row["run_number"]: row for row in self._lake.read("runs", key).to_pylist()}
        runs |= {plan.run_number: run_row(key, plan) for plan in plans}
        tags = {prompt.text: json.dumps(prompt.tags, sort_keys=True) for prompt in experiment.prompts if prompt.tags}
        listed = {row["prompt_number"]: row["prompt"] for row in runs.values()}
        prompts = [
            {"experiment": key, "prompt_number": number, "prompt": text, "tags": tags.get(text)}
            for number, text in sorted(listed.items())
        ]
        replace_rows(self._lake, "prompts", key, prompts)
        replace_rows(self._lake, "runs", key, [runs[number] for number in sorted(runs)])
        register(self._lake, experiment, {})

    def _fingerprint(self, run: SourceRun) -> str:
        zone = self._about.timezone if self._about.source.era == "python" else ""
        return json.dumps([zone, *self._about.source.fingerprint(run.source_id)])

    def _import_run(self, sink: Sink, plan: RunPlan, run: SourceRun, fingerprint: str) -> None:
        imported = RunImport(self._context, plan, run, sink)
        imported.import_all(fingerprint)
        self._tally.merge(imported.tally)

    def _leave(self, plan: RunPlan, run: SourceRun, held: Mapping[str, Any]) -> None:
        """A run that is there and has not changed; what was rejected of it is told again."""
        kept = Tally(json.loads(held["tally"]))
        if _has_to_be_told(kept):
            self._import_run(Nowhere(), plan, run, "")
        else:
            self._tally.merge(kept)
            self._about.on_rows(kept.rows("invocations"))

    def _add_diagrams(self, sink: Sink, plan: RunPlan, run: SourceRun, held: Mapping[str, Any]) -> None:
        imported = RunImport(self._context, plan, run, sink)
        imported.diagrams()
        tally = Tally({**json.loads(held["tally"]), "diagrams": {}, **imported.tally.plain})
        sink.add("imported_runs", {**held, "tally": tally.json})
        self._tally.merge(tally)
        self._about.on_rows(tally.rows("invocations"))

    def _description(self) -> dict[str, Any]:
        about, source = self._about, self._source
        listed = {name: json.dumps(getattr(source, name), ensure_ascii=False) for name in shared_rows.LISTS}
        return {
            "experiment": self._key,
            "source_id": source.source_id,
            "system": SYSTEM,
            "era": about.source.era,
            "source_schema": about.source.variant,
            "source_file": about.file_name,
            **listed,
            "seeds": None if source.seeds is None else json.dumps(source.seeds),
            "num_runs": source.num_runs,
            "max_length": source.max_length,
            **vars(source.times),
            "imported_at": datetime.now(UTC),
        }

    def _exponents(self) -> list[dict[str, Any]]:
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        for record in self._about.source.exponents(self._source.source_id):
            row = shared_rows.exponent_row(self._key, record, rows)
            if isinstance(row, Rejected):
                self._about.quarantine.reject(self._tally, row, self._key)
            else:
                rows[row["network"], row["prompt"], row["embedding_model"]] = row
                self._tally.add("exponents", IMPORTED)
        return list(rows.values())


def _has_to_be_told(tally: Tally) -> bool:
    """Whether the report names rows of the run one by one."""
    return bool(tally.all_of(REFUSED) or tally.all_of(DOUBTFUL))
