"""What the three services share: the loop, the faults, the log, and an end within a second of SIGTERM."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod

from app import faults, settings, stores

log = logging.getLogger("app")


class SimulatedFaultError(Exception):
    """Raised because a test asked for it."""


class Every:
    """Says when a job of the loop is due."""

    def __init__(self, seconds: float, first: float = 0) -> None:
        self._seconds = seconds
        self._due = time.monotonic() + first

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + self._seconds
        return True


class Service(ABC):
    name: str
    failure: str  # how the log line of a failed turn begins

    def __init__(self, interval: float) -> None:
        logging.basicConfig(
            stream=sys.stdout, level=logging.INFO, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s"
        )
        self.interval = interval
        self.database = stores.Database()
        self.cache = stores.Cache()
        self.last_turn: float | None = None
        self._started = time.monotonic()
        self._faults_at_start = self._faults_of_environment()
        self._faults_of_redis = ""
        self.faults = self._faults_at_start

    @abstractmethod
    def turn(self) -> None:
        """The work, once. What it raises is logged, and the loop goes on."""

    def run(self) -> None:
        """Work until SIGTERM (exit 0) or a crash (exit 1)."""
        outcome: queue.SimpleQueue[int] = queue.SimpleQueue()

        def work() -> None:
            try:
                self._loop()
            except Exception:
                traceback.print_exc()
            outcome.put(1)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: outcome.put(0))
        # The loop has a thread of its own: a name look-up or a socket that hangs must not delay the signal's handler.
        threading.Thread(target=work, daemon=True).start()
        code = outcome.get()
        log.info("Stopping %s.", self.name)
        logging.shutdown()
        # An orderly exit would wait for the other threads' locks.
        os._exit(code)

    def _loop(self) -> None:
        log.info("Starting %s (every %g s).", self.name, self.interval)
        work = Every(self.interval)
        while True:
            # Once a second, so that a test sees a fault come and go without waiting for the next turn.
            self._read_faults()
            self._misbehave()
            if "hang" not in self.faults and work.due():
                self._guarded_turn()
            time.sleep(1)

    def _guarded_turn(self) -> None:
        try:
            if "traceback" in self.faults:
                self._log_traceback()
            self.turn()
        except Exception as error:
            log.error("%s: %s", self.failure, stores.explain(error))
        self.last_turn = time.monotonic()

    def _faults_of_environment(self) -> dict[str, float]:
        try:
            return faults.parse(settings.text("SAMPLE_FAULT"))
        except ValueError as error:
            raise SystemExit(f"SAMPLE_FAULT: {error}.") from None

    def _read_faults(self) -> None:
        key = f"sample:fault:{self.name}"
        try:
            asked = self.cache.get(key) or ""
        except stores.ERRORS:
            return  # Redis being away is no reason for a fault to end
        if asked == self._faults_of_redis:
            return
        self._faults_of_redis = asked
        self.faults = self._faults_at_start
        try:
            self.faults = self._faults_at_start | faults.parse(asked)
        except ValueError as error:
            log.warning("Redis key %s: %s.", key, error)

    def _misbehave(self) -> None:
        log.setLevel(logging.CRITICAL if "silence" in self.faults else logging.INFO)
        for number in range(int(self.faults.get("flood", 0))):
            log.info("Line %d of a simulated flood of log lines, of about the length that a real one has.", number)
        if "crash" in self.faults:
            raise SimulatedFaultError("this crash was asked for")
        if time.monotonic() - self._started >= self.faults.get("crash-after", float("inf")):
            raise SimulatedFaultError("this crash was asked for, some time after the start")

    def _log_traceback(self) -> None:
        try:
            raise SimulatedFaultError("this error was asked for")
        except SimulatedFaultError:
            log.exception("Unexpected error in %s.", self.name)
