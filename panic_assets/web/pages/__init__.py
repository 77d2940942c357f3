"""Pages for people: the public ones, terminals, screens, and those of operators and admins.

Here belongs HTML; what pages do is done by the API's functions, so that nothing can be done in two ways.
"""

from panic_assets.web.pages import (
    account,
    admin,
    assets,
    codec,
    installations,
    login,
    networks,
    public,
    studies,
    terminal,
    watchers,
)
from panic_assets.web.pages.rendering import error_page
from panic_assets.web.security.policy import GuardedRouter

router = GuardedRouter(include_in_schema=False)
# Networks before public: /networks/new is no network called "new".
for _module in (assets, login, networks, installations, account, admin, terminal, watchers, studies, codec, public):
    router.include_router(_module.router)

__all__ = ["error_page", "router"]
