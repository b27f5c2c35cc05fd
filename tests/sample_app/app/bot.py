"""The bot: reads the candles, pretends to decide and to trade on paper, reports what it does."""

from __future__ import annotations

import itertools
import json
import logging
import random
import statistics
import time
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest

from app import settings, stores
from app.collector import SYMBOL
from app.service import Every, Service
from app.web import Request, Response, serve
from app.webhooks import Webhooks

log = logging.getLogger("app.bot")

PORT = 8000
STRATEGY = "sample_walk"
FEE_RATE = 0.0005
# What comes of one entry signal after another: every kind of line, webhook and row within four minutes.
OUTCOMES = ("prefilter", "reject", "approve", "guardrail", "prefilter", "skip", "prefilter", "risk")

# Lines that a fault puts into the log, one a turn.
FAULT_LINES = {
    "rss-failed": "RSS ingest done. inserted=0, skipped=0, failed_feeds=12",
    "rss-job-failed": "RSS ingest job failed: this failure was asked for",
    "rss-summary-failed": "RSS summarize job failed: this failure was asked for",
    "regime-failed": "[Scheduler] Regime Update Failed: this failure was asked for",
    "retraining-failed": "[Scheduler] Retraining Failed: this failure was asked for",
    "report-failed": "[Scheduler] Daily Report Failed: this failure was asked for",
}

ACTIVE_POSITIONS = Gauge("coinpilot_active_positions", "Open positions")
TOTAL_PNL = Gauge("coinpilot_total_pnl", "Realised profit and loss, KRW")
TRADE_COUNT = Counter("coinpilot_trade_count", "Trades since the start")
TRADE_COUNT_2D = Gauge("coinpilot_trade_count_2d", "Trades of the last two days")
VOLATILITY = Gauge("coinpilot_volatility_index", "Standard deviation of the last returns, per cent")
API_LATENCY = Histogram("coinpilot_api_latency_seconds", "Answer times of the exchange", buckets=(0.1, 0.5, 1, 2, 5))

LAST_CLOSES = """
    SELECT close_price FROM market_data WHERE symbol = :symbol AND interval = '1m' ORDER BY timestamp DESC LIMIT 60
"""
TOTALS = """
    SELECT (SELECT count(*) FROM positions),
           (SELECT coalesce(sum(realized_pnl), 0) FROM trading_history),
           (SELECT count(*) FROM trading_history WHERE executed_at > now() - interval '2 days'),
           (SELECT balance FROM account_state)
"""
OPEN_ACCOUNT = "INSERT INTO account_state (id, balance) VALUES (1, :balance) ON CONFLICT DO NOTHING"
SAVE_DECISION = """
    INSERT INTO agent_decisions (symbol, strategy_name, decision, reasoning, confidence, model_used, price_at_decision)
    VALUES (:symbol, :strategy, :decision, :reasoning, :confidence, :model, :price)
"""
SAVE_TRADE = """
    INSERT INTO trading_history (symbol, side, price, quantity, fee, realized_pnl, strategy_name, regime, signal_info)
    VALUES (:symbol, :side, :price, :quantity, :fee, :pnl, :strategy, :regime, CAST(:signal AS jsonb))
"""
OPEN_POSITION = "INSERT INTO positions (symbol, quantity, avg_price) VALUES (:symbol, :quantity, :price)"
CHANGE_BALANCE = "UPDATE account_state SET balance = balance + :change, updated_at = now()"
SAVE_RISK = """
    INSERT INTO daily_risk_state (date, total_pnl, trade_count, consecutive_losses)
    VALUES (current_date, :pnl, 1, :loss)
    ON CONFLICT (date) DO UPDATE SET
        total_pnl = daily_risk_state.total_pnl + excluded.total_pnl,
        trade_count = daily_risk_state.trade_count + 1,
        consecutive_losses = CASE excluded.consecutive_losses
            WHEN 0 THEN 0 ELSE daily_risk_state.consecutive_losses + 1 END,
        updated_at = now()
"""
SAVE_REGIME = "INSERT INTO regime_history (symbol, regime, volatility) VALUES (:symbol, :regime, :volatility)"


class Bot(Service):
    name = "bot"
    failure = "Critical Bot Loop Error"

    def __init__(self) -> None:
        super().__init__(settings.number("BOT_INTERVAL", 5))
        self._model = settings.text("LLM_MODEL", "sample-model")
        self._paper_balance = settings.number("PAPER_BALANCE", 1_000_000)
        self._webhooks = Webhooks()
        self._outcomes = itertools.cycle(OUTCOMES)
        self._regime = "UNKNOWN"
        self._volatility_exported = True
        self._signal = Every(settings.number("SIGNAL_INTERVAL", 30), first=10)
        self._scheduler = Every(settings.number("REGIME_INTERVAL", 60))
        self._rss = Every(settings.number("RSS_INTERVAL", 120), first=5)
        self._report = Every(settings.number("REPORT_INTERVAL", 300), first=60)
        self._weekly = Every(settings.number("WEEKLY_INTERVAL", 3600), first=120)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        for fault in FAULT_LINES.keys() & self.faults.keys():
            log.warning(FAULT_LINES[fault])
        self._observe_exchange()
        closes = [float(row[0]) for row in self.database.query(LAST_CLOSES, symbol=SYMBOL)]
        if len(closes) < 3:
            log.info("[Bot] Waiting for market data.")
            return
        volatility = self._measure_volatility(closes)
        price = closes[0]
        self.database.query(OPEN_ACCOUNT, balance=self._paper_balance)
        if self._scheduler.due():
            self._update_regime(closes, volatility)
        if self._signal.due():
            self._handle_signal(price)
        if self._rss.due():
            log.info("RSS ingest done. inserted=2, skipped=112, failed_feeds=0")
        self._report_totals()
        if "stale" not in self.faults:
            status = {"timestamp": _now(), "symbol": SYMBOL, "status": "RUNNING", "price": price}
            self.cache.set(f"bot:status:{SYMBOL}", json.dumps(status | {"regime": self._regime}))

    def _observe_exchange(self) -> None:
        # Nothing is called, so nothing has to be waited for: only the metric has to look right.
        API_LATENCY.observe(self.faults.get("latency", random.uniform(0.05, 0.3)))

    def _measure_volatility(self, closes: list[float]) -> float:
        wanted = "volatility-missing" not in self.faults
        if wanted != self._volatility_exported:
            (REGISTRY.register if wanted else REGISTRY.unregister)(VOLATILITY)
            self._volatility_exported = wanted
        returns = [new / old - 1 for new, old in itertools.pairwise(closes)]
        volatility = statistics.stdev(returns) * 100
        if "volatility-frozen" not in self.faults:
            VOLATILITY.set(self.faults.get("volatility", volatility))
        return volatility

    def _update_regime(self, closes: list[float], volatility: float) -> None:
        drift = closes[0] / statistics.fmean(closes) - 1
        self._regime = "SIDEWAYS" if abs(drift) < 0.001 else "BULL" if drift > 0 else "BEAR"
        if "stale" not in self.faults:
            self.database.query(SAVE_REGIME, symbol=SYMBOL, regime=self._regime, volatility=volatility)
            self.cache.set(f"market:regime:{SYMBOL}", self._regime)
        log.info("[Scheduler] %s Regime: %s (volatility %.3f%%)", SYMBOL, self._regime, volatility)

    def _report_totals(self) -> None:
        positions, pnl, trades, balance = self.database.query(TOTALS)[0]
        ACTIVE_POSITIONS.set(positions)
        TOTAL_PNL.set(float(pnl))
        TRADE_COUNT_2D.set(trades)
        report = {
            "date": _now()[:10],
            "total_pnl": float(pnl),
            "trade_count": trades,
            "balance": float(balance),
            "active_positions": positions,
        }
        if self._report.due():
            self._webhooks.post("daily-report", report, success="Daily Report sent successfully.")
        if self._weekly.due():
            self._webhooks.post("weekly-exit-report", report, success="Weekly Exit Report sent successfully.")

    # -- one entry signal -------------------------------------------------------------------------------------------

    def _handle_signal(self, price: float) -> None:
        log.info("Entry Signal Detected: %s at %s KRW (%s)", SYMBOL, f"{price:,.0f}", STRATEGY)
        # The one outcome that leaves nothing but a line.
        match "prefilter" if "stale" in self.faults else next(self._outcomes):
            case "prefilter":
                log.info("AI PreFilter Rejected: %s volume is below its average", SYMBOL)
            case "guardrail":
                log.info("AI Guardrail Blocked: %s was asked about a moment ago", SYMBOL)
            case "skip":
                log.info("Order Skipped: %s order is below the minimum of 5,000 KRW", SYMBOL)
            case "risk":
                log.info("Risk Rejected: %s would exceed the daily limit of trades", SYMBOL)
                self._webhooks.post("risk", {"symbol": SYMBOL, "type": "MAX_TRADES", "price": price})
            case "reject":
                self._decide("REJECT", "price is falling towards a critical support level", price)
                log.info("Trade Rejected by AI Agent: %s is falling towards a critical support level", SYMBOL)
            case "approve":
                self._decide("CONFIRM", "price holds above the last high with rising volume", price)
                log.info("Trade Approved by AI Agent: %s holds above the last high", SYMBOL)
                self._trade(price)

    def _decide(self, decision: str, reasoning: str, price: float) -> None:
        confidence = random.randint(55, 95)
        self.database.query(
            SAVE_DECISION,
            symbol=SYMBOL,
            strategy=STRATEGY,
            decision=decision,
            reasoning=reasoning,
            confidence=confidence,
            model=self._model,
            price=price,
        )
        payload = {"symbol": SYMBOL, "decision": decision, "reasoning": reasoning, "confidence": confidence}
        self._webhooks.post("ai-decision", payload | {"model": self._model})

    def _trade(self, price: float) -> None:
        """Sell what is held, or else buy for a tenth of the paper balance."""
        with self.database.transaction():
            held = self.database.query(
                "DELETE FROM positions WHERE symbol = :symbol RETURNING quantity, avg_price", symbol=SYMBOL
            )
            if held:
                side, quantity, paid = "SELL", float(held[0][0]), float(held[0][1])
            else:
                side, quantity, paid = "BUY", round(self._paper_balance / 10 / price, 8), price
            value = price * quantity
            fee = value * FEE_RATE
            pnl = value - paid * quantity - fee if held else None
            self.database.query(
                SAVE_TRADE,
                symbol=SYMBOL,
                side=side,
                price=price,
                quantity=quantity,
                fee=fee,
                pnl=pnl,
                strategy=STRATEGY,
                regime=self._regime,
                signal=json.dumps({"source": "sample"}),
            )
            if not held:
                self.database.query(OPEN_POSITION, symbol=SYMBOL, quantity=quantity, price=price)
            self.database.query(CHANGE_BALANCE, change=(value if held else -value) - fee)
            if pnl is not None:
                self.database.query(SAVE_RISK, pnl=pnl, loss=1 if pnl < 0 else 0)
        TRADE_COUNT.inc()
        log.info("[Paper] %s %s %.8f at %s KRW", side, SYMBOL, quantity, f"{price:,.0f}")
        self._webhooks.post("trade", {"side": side, "symbol": SYMBOL, "price": price, "quantity": quantity})

    # -- HTTP -------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        if request.path == "/metrics":
            return Response(200, generate_latest(REGISTRY).decode(), CONTENT_TYPE_LATEST)
        if request.path == "/health":
            problems = self._problems()
            body = {"status": "unhealthy" if problems else "ok", "problems": problems}
            return Response(503 if problems else 200, json.dumps(body) + "\n", "application/json")
        return Response(404, "Not found.\n")

    def _problems(self) -> list[str]:
        problems = ["this failure was asked for"] if "unhealthy" in self.faults else []
        stalled_after = 3 * self.interval + 15
        if self.last_turn is None:
            problems.append("the loop has not run yet")
        elif time.monotonic() - self.last_turn > stalled_after:
            problems.append(f"the loop has stalled for more than {stalled_after:g} s")
        # A connection of its own: the loop's is busy in another thread.
        database = stores.Database()
        try:
            database.query("SELECT 1")
        except stores.ERRORS as error:
            problems.append(f"database: {stores.explain(error)}")
        finally:
            database.close()
        try:
            self.cache.ping()
        except stores.ERRORS as error:
            problems.append(f"redis: {stores.explain(error)}")
        return problems


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    bot = Bot()
    serve(PORT, bot.answer)
    bot.run()
