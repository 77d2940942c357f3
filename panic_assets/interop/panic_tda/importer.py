"""The import of a PANIC-TDA database: its experiments, one after another, become partitions like any other.

Here belongs what is over a whole database: which experiments are wanted, what belongs to none, and that every row is
accounted for. One experiment is the matter of ``experiments``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from panic_assets.errors import PanicError
from panic_assets.interop.panic_tda.experiments import ExperimentImport, Surroundings
from panic_assets.interop.panic_tda.pictures import workers
from panic_assets.interop.panic_tda.records import Rejected, SourceClustering, SourceExperiment
from panic_assets.interop.panic_tda.report import IMPORTED, SKIPPED, Quarantine, Report, rejected
from panic_assets.interop.panic_tda.schema import TABLES
from panic_assets.interop.panic_tda.source import Source

Progress = Callable[[int, int], None]
_NAMED = 12  # identifiers that an error lists


class ImportFailed(PanicError):
    """Nothing could be read, or an option names nothing."""


@dataclass(frozen=True)
class Options:
    """``experiments``: beginnings of identifiers, all if empty; ``timezone``: of times that the source gives without.

    ``dry_run`` reads and reports everything and writes nothing; ``skip_diagrams`` leaves diagrams out.
    """

    dry_run: bool = False
    skip_diagrams: bool = False
    experiments: tuple[str, ...] = ()
    timezone: str = "UTC"


def import_database(path: Path, data: Path, options: Options | None = None, progress: Progress | None = None) -> Report:
    """Take a database over into the data directory ``data``; ``progress`` gets (invocations done, invocations in all).

    An import that was killed goes on where it stood; one that finds nothing new writes nothing to the lake.

    Raises:
        ImportFailed: no experiment can be read, or an option names none or several.
        PartitionLocked: somebody else is at work on a partition.
        PanicError: the file is no such database.
        LakeWriteError: the disk is full or refuses. What was committed stays; the same call goes on from there.
    """
    chosen = options or Options()
    with Source(path, chosen.timezone) as source, workers() as threads:
        return _Import(source, path, data, chosen, progress or (lambda done, total: None), threads).run()


class _Import:
    """One import, from its first look at the source to its report."""

    def __init__(
        self, source: Source, path: Path, data: Path, options: Options, progress: Progress, threads: ThreadPoolExecutor
    ) -> None:
        self._source, self._options, self._name = source, options, path.name
        self._data, self._progress, self._threads = data, progress, threads
        read = list(source.experiments())
        self._rejected = [row for row in read if isinstance(row, Rejected)]
        self._experiments = sorted((e for e in read if isinstance(e, SourceExperiment)), key=lambda e: e.source_id)
        self._chosen = self._choose(options.experiments)
        folder = None if options.dry_run else data / "quarantine" / f"import-{path.stem}-{self._identity()}"
        counts = source.counts()
        held = {holds: counts[name] for holds, name in TABLES[source.era].items() if name in counts}
        self._report = Report(path.name, source.era, source.variant, held, folder)
        # What rows of this table say, which few layouts have, comes with the assignments that name them.
        self._report.tally.add("clusters", SKIPPED, held.get("clusters", 0))
        self._done, self._total = 0, self._report.source.get("invocations", 0)

    def run(self) -> Report:
        """Import what was asked for; the rows of everything else are counted, too."""
        report, all_of_it = self._report, len(self._chosen) == len(self._experiments)
        with Quarantine(report) as quarantine:
            clusterings = self._clusterings(quarantine)
            surroundings = Surroundings(
                self._source,
                self._name,
                self._data,
                clusterings,
                report,
                quarantine,
                self._threads,
                self._options.dry_run,
                self._options.skip_diagrams,
                self._options.timezone,
                self._advance,
            )
            assigned: set[str] = set()
            for experiment in self._chosen:
                assigned |= ExperimentImport(surroundings, experiment).run()
            if all_of_it:
                self._refuse_the_rest(surroundings)
            for source_id, clustering in clusterings.items():
                if source_id in assigned:
                    report.tally.add("clusterings", IMPORTED)
                elif all_of_it:
                    row = rejected(clustering, "no_assignments", "it assigns no output that was imported")
                    quarantine.reject(report.tally, row, None)
            if not all_of_it:
                for table, count in report.source.items():
                    report.tally.add(table, SKIPPED, count - report.tally.rows(table))
            report.check()
        return report

    def _choose(self, prefixes: tuple[str, ...]) -> list[SourceExperiment]:
        known = [experiment.source_id for experiment in self._experiments]
        if not known:
            wrong = "".join(f"\n  {row.source_id}: {row.reason}" for row in self._rejected[:_NAMED])
            raise ImportFailed(f"{self._name}: there is no experiment that can be read{wrong}")
        chosen = set()
        for prefix in prefixes:
            wanted = prefix.lower().replace("-", "")
            found = [source_id for source_id in known if source_id.startswith(wanted)]
            if len(found) != 1:
                several = f"{len(found)} experiments begin so: {', '.join(found[:_NAMED])}; type more digits"
                none = f"no experiment begins so; there are {', '.join(known[:_NAMED])}"
                raise ImportFailed(f"{self._name}: --experiment {prefix}: {several if found else none}")
            chosen.add(found[0])
        return [e for e in self._experiments if not prefixes or e.source_id in chosen]

    def _identity(self) -> str:
        """Eight digits that stay the same wherever the file lies, and however it grows."""
        first = self._experiments[0].source_id
        return blake2b(f"{self._source.era} {first}".encode(), digest_size=4).hexdigest()

    def _advance(self, rows: int) -> None:
        self._done += rows
        self._progress(self._done, self._total)

    def _clusterings(self, quarantine: Quarantine) -> dict[str, SourceClustering]:
        found = {}
        for clustering in self._source.clusterings():
            if isinstance(clustering, Rejected):
                quarantine.reject(self._report.tally, clustering, None)
            else:
                found[clustering.source_id] = clustering
        return found

    def _refuse_the_rest(self, surroundings: Surroundings) -> None:
        """Experiments that can't be read, with all that they have, and rows without a parent."""
        for row in self._rejected:
            surroundings.refuse_experiment(row, None)
        for orphan in self._source.orphans():
            surroundings.quarantine.reject(self._report.tally, orphan, None)
