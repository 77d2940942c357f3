"""Clusters after experiments went or came back: made to fit what the lake holds.

Here belongs waiting for another who writes them. What they are belongs to ``clustering``.
"""

from __future__ import annotations

import time

from panic_assets.lake import Lake, PartitionLocked

#: Clusters are written in a moment: so long another writer of them is waited for.
_SECONDS = 60.0
_POLL_SECONDS = 0.2


def fit_clusters(lake: Lake) -> int:
    """Bring the clusterings up to date with the lake's embeddings; give how many there are.

    Raises:
        PartitionLocked: another writer has been at them for a minute.
        LakeError: a table can't be read or written.
    """
    from panic_assets.clustering.stage import cluster_lake

    until = time.monotonic() + _SECONDS
    while True:
        try:
            return len(cluster_lake(lake))
        except PartitionLocked:
            if time.monotonic() > until:
                raise
            time.sleep(_POLL_SECONDS)
