"""Sessions, users and API tokens.

Here belongs what people do about their own way in, and admins about everybody's.
"""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request, Response

from panic_assets.live.store import NotThere, Session, User
from panic_assets.web.api.routing import Id, router
from panic_assets.web.api.shapes import (
    Login,
    Me,
    NewPassword,
    OwnPassword,
    SessionListed,
    SessionOut,
    TokenIn,
    TokenOut,
    UserIn,
    UserOut,
)
from panic_assets.web.errors import Problem
from panic_assets.web.live import Live
from panic_assets.web.security.callers import Known, Room
from panic_assets.web.security.cookies import drop_cookie, put_cookie
from panic_assets.web.security.login import change_password, create_account, sign_in
from panic_assets.web.security.policy import note
from panic_assets.web.security.signing import api_token, hash_of

sessions = router("sessions")
users = router("users")
tokens = router("tokens")


@sessions.post("/api/sessions", status_code=201)
async def login(request: Request, response: Response, given: Login, live: Room, caller: Known) -> SessionOut:
    """Sign in: the session is in a cookie, what comes back is for writes by it."""
    agent = request.headers.get("user-agent", "")
    user, session, token = await sign_in(live, given.email, given.password, caller.address, agent)
    put_cookie(request, response, token, session.expires_at)
    return _session(live, user, session)


@sessions.get("/api/sessions")
async def list_sessions(live: Room, caller: Known) -> list[SessionListed]:
    """The caller's logins."""
    assert caller.user is not None
    found = await live.thread(live.store.sessions, caller.user.id)
    return [SessionListed.of(session, caller.session) for session in found]


@sessions.get("/api/sessions/current")
async def current_session(live: Room, caller: Known) -> SessionOut:
    """Who is signed in, and the token for writes."""
    assert caller.user is not None
    assert caller.session is not None
    return _session(live, caller.user, caller.session)


@sessions.delete("/api/sessions/current", status_code=204)
async def logout(request: Request, response: Response, live: Room, caller: Known) -> None:
    """Sign out here."""
    assert caller.session is not None
    await live.thread(live.store.revoke_session, caller.session.token_hash)
    drop_cookie(request, response)


@sessions.delete("/api/sessions", status_code=204)
async def logout_everywhere(request: Request, response: Response, live: Room, caller: Known) -> None:
    """Sign out everywhere."""
    assert caller.user is not None
    await live.thread(live.store.revoke_sessions, caller.user.id)
    drop_cookie(request, response)


@users.get("/api/users/me")
async def me(caller: Known) -> Me:
    """Who calls."""
    assert caller.user is not None
    return _me(caller.user)


@users.put("/api/users/me/password", status_code=204)
async def change_own_password(
    request: Request, response: Response, given: OwnPassword, live: Room, caller: Known
) -> None:
    """Another password; all sessions end, this one too."""
    assert caller.user is not None
    await change_password(live, caller.user, given.old, given.new)
    drop_cookie(request, response)
    note(request, caller.user.id)


@users.get("/api/users")
async def list_users(live: Room) -> list[UserOut]:
    """All accounts."""
    return [UserOut.of(user) for user in await live.thread(live.store.users)]


@users.post("/api/users", status_code=201)
async def create_user(request: Request, new: UserIn, live: Room) -> UserOut:
    """A new account."""
    user = await create_account(live, new.email, new.password, new.is_admin)
    note(request, user.id, is_admin=user.is_admin)
    return UserOut.of(user)


@users.put("/api/users/{user_id}/password", status_code=204)
async def set_password(user_id: Id, given: NewPassword, live: Room) -> None:
    """Another password for somebody, whose sessions end."""
    await change_password(live, await live.thread(live.store.user, user_id), None, given.new)


@users.delete("/api/users/{user_id}", status_code=204)
async def delete_user(user_id: Id, live: Room, caller: Known) -> None:
    """Delete an account with its tokens; its networks stay, for admins."""
    assert caller.user is not None
    if user_id == caller.user.id:
        raise Problem(409, "this is your own account", "let another admin delete it")
    await live.thread(live.store.delete_user, user_id)


@tokens.get("/api/tokens")
async def list_tokens(live: Room, caller: Known) -> list[TokenOut]:
    """The caller's API tokens, revoked ones too."""
    assert caller.user is not None
    return [TokenOut.of(token) for token in await live.thread(live.store.api_tokens, caller.user.id)]


@tokens.post("/api/tokens", status_code=201)
async def create_token(request: Request, new: TokenIn, live: Room, caller: Known) -> TokenOut:
    """A new API token. It is shown this once."""
    assert caller.user is not None
    if "admin" in new.scopes and not caller.user.is_admin:
        raise Problem(403, "only an admin may make a token with the scope admin", "leave that scope out")
    token = api_token()
    expires_at = None if new.days is None else live.clock.now() + timedelta(days=new.days)
    kept = await live.thread(
        live.store.create_api_token, caller.user.id, new.name, hash_of(token), new.scopes, expires_at
    )
    note(request, kept.id, name=kept.name, scopes=list(kept.scopes))
    return TokenOut.of(kept, token)


@tokens.delete("/api/tokens/{token_id}", status_code=204)
async def revoke_token(token_id: Id, live: Room, caller: Known) -> None:
    """Revoke an API token; an admin may revoke anybody's."""
    assert caller.user is not None
    own = await live.thread(live.store.api_tokens, None if caller.is_admin else caller.user.id)
    if token_id not in {token.id for token in own}:
        raise NotThere("API token", token_id)
    await live.thread(live.store.revoke_api_token, token_id)


def _me(user: User) -> Me:
    return Me(id=user.id, email=user.email, is_admin=user.is_admin)


def _session(live: Live, user: User, session: Session) -> SessionOut:
    return SessionOut(user=_me(user), csrf_token=live.signer.csrf(session.token_hash), expires_at=session.expires_at)
