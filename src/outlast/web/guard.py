"""Who may ask: whoever has the token, from this machine's own address, and no page of another site.

Three walls, each enough against one kind of visitor. The Host header must name our own address, or a name that
someone else points at 127.0.0.1 could talk to us (DNS rebinding). A request that changes something must come from our
own page (Origin), or another site in the same browser could send it. And there is the token, without which nothing is
told and nothing is done. It is read from the address's fragment, which browsers send to nobody, and traded for a cookie
that scripts cannot read and other sites cannot use. Source: OWASP cheat sheets on CSRF and on REST security.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSIONS_MAX: Final = 64
OPEN: Final = frozenset({"/", "/api/v1/session", "/api/v1/openapi.json"})
"""What is answered without the token: nothing of it tells of a lab."""

SAFE: Final = frozenset({"GET", "HEAD"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(slots=True)
class Guard:
    """Keeps the door. token: "" lets everybody look and nobody act. port: our own."""

    token: str
    port: int
    _sessions: list[str] = field(default_factory=list)

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies are shared by all ports of an address, so the port is part of it."""
        return f"outlast-{self.port}"

    def admits(self, token: str) -> bool:
        """Whether that is the token. Takes the same time whatever it is."""
        return bool(self.token) and hmac.compare_digest(token.encode(), self.token.encode())

    def open_session(self) -> str:
        """Return the name of a new session; of too many the oldest ends."""
        name = secrets.token_urlsafe(32)
        self._sessions = [*self._sessions, name][-SESSIONS_MAX:]
        return name

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """Return why a request is not answered, as an HTTP status and a sentence; None when it is."""
        own = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        if request.headers.get("host") not in own:
            return 403, "the Host header names another machine"
        origin = request.headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in own:
            return 403, "this page takes no requests from other sites"
        changes = request.method not in SAFE
        if changes and request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            return 415, "send JSON"
        if request.url.path in OPEN or request.url.path.startswith("/static/"):
            return None
        if not self.token:
            return (403, "this page was started without a token and is read-only") if changes else None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return None if self.admits(given.strip()) else (401, "wrong token")
        session = request.cookies.get(self.cookie, "")
        if not any(hmac.compare_digest(session.encode(), one.encode()) for one in self._sessions):
            return 401, "the token is missing"
        if changes and origin is None:
            return 403, "a request with a cookie must have an Origin header"
        return None


class GuardMiddleware:
    """The guard as an ASGI middleware: around streams too, which it must not hold back."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nobody here speaks WebSocket

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._guard.refusal(Request(scope))
        if refused is None:
            await self._app(scope, receive, with_headers)
        else:
            await JSONResponse({"error": refused[1]}, refused[0])(scope, receive, with_headers)
