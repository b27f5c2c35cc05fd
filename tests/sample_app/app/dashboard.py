"""The dashboard: asks for the access password, then shows the account, the candles and the bot."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from datetime import UTC, datetime

from app import page, settings, stores
from app.collector import SYMBOL
from app.service import Service
from app.web import Request, Response, serve

PORT = 8501
COOKIE = "coinpilot_session"
STATUS_IS_OLD_AFTER_SECONDS = 60

ACCOUNT = """
    SELECT (SELECT balance FROM account_state),
           (SELECT coalesce(sum(realized_pnl), 0) FROM trading_history),
           (SELECT count(*) FROM positions),
           (SELECT count(*) FROM trading_history WHERE executed_at > now() - interval '2 days')
"""
CANDLES = """
    SELECT timestamp, open_price, high_price, low_price, close_price FROM market_data
    WHERE symbol = :symbol AND interval = '1m' ORDER BY timestamp DESC LIMIT 60
"""
DECISIONS = """
    SELECT created_at, decision, confidence, reasoning FROM agent_decisions ORDER BY created_at DESC LIMIT 5
"""


class Dashboard(Service):
    name = "dashboard"
    failure = "Critical Error in Dashboard"

    def __init__(self) -> None:
        super().__init__(interval=60)
        self._password = settings.required("DASHBOARD_ACCESS_PASSWORD").encode()
        # One person, one session; a restart signs out.
        self._session = secrets.token_urlsafe(32)

    def turn(self) -> None:
        """All the work is done when a page is asked for."""

    def answer(self, request: Request) -> Response:
        while "hang" in self.faults:
            time.sleep(0.5)
        match request.method, request.path:
            case "GET", "/_stcore/health":
                unhealthy = "unhealthy" in self.faults
                return Response(503, "this failure was asked for\n") if unhealthy else Response(200, "ok")
            case "POST", "/login":
                return self._sign_in(request.form.get("password", ""))
            case "POST", "/logout":
                return _redirect(f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
            case "GET", "/":
                return _html(200, self._overview() if self._signed_in(request) else page.login())
        return Response(404, "Not found.\n")

    def _sign_in(self, password: str) -> Response:
        if hmac.compare_digest(password.encode(), self._password):
            return _redirect(f"{COOKIE}={self._session}; Path=/; HttpOnly; SameSite=Strict")
        time.sleep(1)  # guessing must not be quick
        return _html(403, page.login(refused=True))

    def _signed_in(self, request: Request) -> bool:
        return hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._session.encode())

    def _overview(self) -> str:
        problems: list[str] = []
        view = page.View(symbol=SYMBOL)
        # A connection of its own: each request has its own thread.
        database = stores.Database()
        try:
            view.balance, view.total_pnl, view.positions, view.trades = database.query(ACCOUNT)[0]
            view.candles = database.query(CANDLES, symbol=SYMBOL)
            view.decisions = database.query(DECISIONS)
        except stores.ERRORS as error:
            problems.append(f"PostgreSQL: {stores.explain(error)}")
        finally:
            database.close()
        try:
            view.regime = self.cache.get(f"market:regime:{SYMBOL}")
            view.bot_age_seconds = _age(self.cache.get(f"bot:status:{SYMBOL}"))
        except stores.ERRORS as error:
            problems.append(f"Redis: {stores.explain(error)}")
        view.bot_alive = view.bot_age_seconds is not None and view.bot_age_seconds < STATUS_IS_OLD_AFTER_SECONDS
        return page.overview(view, problems)


def _age(status: str | None) -> float | None:
    """How long ago the bot wrote its status; None when it never did, or when it cannot be read."""
    try:
        written = datetime.fromisoformat(json.loads(status or "")["timestamp"])
        return max(0.0, (datetime.now(UTC) - written).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None


def _html(status: int, body: str) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(status, body, "text/html; charset=utf-8", headers)


def _redirect(cookie: str) -> Response:
    return Response(303, headers={"Location": "/", "Set-Cookie": cookie, "Cache-Control": "no-store"})


if __name__ == "__main__":
    dashboard = Dashboard()
    serve(PORT, dashboard.answer)
    dashboard.run()
