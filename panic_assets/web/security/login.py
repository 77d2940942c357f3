"""Accounts as people meet them: signing in and out, new accounts, other passwords.

Here belongs what pages, the API and the command line share; hashing is in ``passwords``.
"""

from __future__ import annotations

from datetime import timedelta

from panic_assets.live.store import Session, User
from panic_assets.web.errors import Problem, too_many
from panic_assets.web.live import Live
from panic_assets.web.security.signing import hash_of, session_token

#: Logins for an account from all addresses, as a multiple of those from one.
_FROM_ALL = 10


async def sign_in(live: Live, email: str, password: str, address: str, agent: str) -> tuple[User, Session, str]:
    """A new session: the user, the session, and the token for its cookie.

    Raises:
        Problem: 401: no such account or another password, which look alike. 429: too many wrong ones.
    """
    account = email.strip().lower()
    window = live.settings.login_window_seconds
    name = hash_of(account)[:32]
    of_account = f"login of {name} from {address}"
    keys = {
        of_account: live.settings.logins_per_account,
        f"login of {name}": live.settings.logins_per_account * _FROM_ALL,
        f"login from {address}": live.settings.logins_per_address,
    }
    # Counted before it is tried: of many at once no more are tried than one after the other.
    for key, allowed in keys.items():
        attempts = await live.thread(live.store.add_attempt, key, window)
        if attempts.number > allowed:
            raise too_many("logins", (attempts.until - live.clock.now()).total_seconds())
    user = await live.thread(live.store.user_by_email, account)
    if not await live.passwords.verify(password, user.password_hash if user else None) or user is None:
        raise Problem(401, "there is no such account with that password", "see that both are right")
    # Of this account from here alone: else whoever has one account could go on trying others for ever.
    await live.thread(live.store.clear_attempts, of_account)
    token = session_token()
    expires_at = live.clock.now() + timedelta(seconds=live.settings.session_seconds)
    session = await live.thread(live.store.create_session, user.id, hash_of(token), expires_at, agent[:200])
    await live.thread(live.store.audit, f"user:{user.id}", "session.create", user.id, {"address": address})
    return user, session, token


async def create_account(live: Live, email: str, password: str, is_admin: bool = False) -> User:
    """A new account.

    Raises:
        BadPassword: too short or too long.
        BadValue: no address, or somebody has it.
    """
    return await live.thread(live.store.create_user, email, await live.passwords.hashed(password), is_admin)


async def change_password(live: Live, user: User, old: str | None, new: str) -> None:
    """Another password; every session of that user ends. ``old`` None where an admin does it.

    Raises:
        Problem: 403: the old password is another. 429: too many wrong ones.
        BadPassword: the new one is too short or too long.
    """
    key = f"password of {user.id}"
    if old is not None:
        attempts = await live.thread(live.store.add_attempt, key, live.settings.login_window_seconds)
        if attempts.number > live.settings.logins_per_account:
            raise too_many("attempts", (attempts.until - live.clock.now()).total_seconds())
        if not await live.passwords.verify(old, user.password_hash):
            raise Problem(403, "the present password is another", "see that it is right")
    await live.thread(live.store.set_password, user.id, await live.passwords.hashed(new))
    await live.thread(live.store.clear_attempts, key)
