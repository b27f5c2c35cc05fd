"""The collector: saves a candle of a made-up market every few seconds."""

from __future__ import annotations

import logging
import random
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from app import settings
from app.service import Service

log = logging.getLogger("app.collector")

SYMBOL = "KRW-BTC"
USUAL_PRICE = 100_000_000.0
CANDLES_AT_FIRST = 60

LAST_CLOSE = """
    SELECT close_price FROM market_data WHERE symbol = :symbol AND interval = '1m' ORDER BY timestamp DESC LIMIT 1
"""
SAVE = """
    INSERT INTO market_data
        (symbol, interval, open_price, high_price, low_price, close_price, volume, timestamp)
    VALUES (:symbol, '1m', :open_price, :high_price, :low_price, :close_price, :volume, :timestamp)
    ON CONFLICT ON CONSTRAINT uq_market_data DO NOTHING
"""


@dataclass(frozen=True)
class Candle:
    symbol: str
    open_price: float
    high_price: float
    low_price: float
    close_price: float
    volume: float
    timestamp: datetime


def next_candle(last_close: float, moment: datetime) -> Candle:
    """The next step of a random walk around the usual price; the same moment always gives the same step."""
    chance = random.Random(f"{SYMBOL} {moment.isoformat()}")
    pull = (USUAL_PRICE - last_close) * 0.001
    close = round(last_close * (1 + chance.gauss(0, 0.001)) + pull, 2)
    low, high = sorted((last_close, close))
    return Candle(
        symbol=SYMBOL,
        open_price=last_close,
        high_price=round(high * (1 + chance.random() * 0.0005), 2),
        low_price=round(low * (1 - chance.random() * 0.0005), 2),
        close_price=close,
        volume=round(chance.uniform(0.1, 5), 4),
        timestamp=moment,
    )


class Collector(Service):
    name = "collector"
    failure = "Critical Error in Collector Loop"

    def __init__(self) -> None:
        super().__init__(settings.number("COLLECT_INTERVAL", 5))

    def turn(self) -> None:
        if "unhealthy" in self.faults:
            # The container's health check looks for this connection.
            self.database.close()
            return
        rows = self.database.query(LAST_CLOSE, symbol=SYMBOL)
        close = float(rows[0][0]) if rows else USUAL_PRICE
        count = 1 if rows else CANDLES_AT_FIRST
        now = datetime.now(UTC).replace(microsecond=0)
        with self.database.transaction():
            for back in reversed(range(count)):
                candle = next_candle(close, now - back * timedelta(seconds=self.interval))
                if "stale" not in self.faults:
                    self.database.query(SAVE, **asdict(candle))
                close = candle.close_price
        log.info("[+] Saved %d candle(s).", count)


if __name__ == "__main__":
    Collector().run()
