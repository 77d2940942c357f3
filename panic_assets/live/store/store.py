"""The store as the rest of the live room and the web room see it.

Here belongs only the joining of its parts; each part is a module beside this one.
"""

from __future__ import annotations

from panic_assets.live.store.accounts import Accounts
from panic_assets.live.store.backups import Backups
from panic_assets.live.store.installations import Installations
from panic_assets.live.store.invocations import Invocations
from panic_assets.live.store.keeping import Keeping
from panic_assets.live.store.media import Media
from panic_assets.live.store.networks import Networks
from panic_assets.live.store.runs import Runs
from panic_assets.live.store.tokens import Tokens


class Store(Networks, Runs, Invocations, Media, Installations, Accounts, Tokens, Keeping, Backups):
    """All that the live room remembers, at a database address such as ``sqlite:///data/live/live.db``.

    Synchronous, and safe to use from any number of threads and processes. Every method is one transaction. Call
    `migrate` once before the first use.

    Raises:
        LiveStoreError: from any method, when the database fails; nothing was changed then.
    """
