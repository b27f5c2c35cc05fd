"""Prometheus's targets over a window, from recorded samples; and what Prometheus answers otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, prometheus_api, targets
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Finding
from ansible_collections.coinpilot.ops.plugins.module_utils.prometheus_api import PrometheusError, Sample, Series

NOW, HOUR = 1_790_000_000.0, 3600.0
DESCRIPTION: dict[str, Any] = {"name": "coinpilot", "unit": "stack.service", "services": {
    "bot": {"engine": "application", "container": "coinpilot-bot"},
    "node-exporter": {"engine": "node-exporter", "container": "coinpilot-node-exporter"},
    "prometheus": {"engine": "prometheus", "container": "coinpilot-prometheus", "port": 9090}}}
ADDRESSES = {"coinpilot-core": "bot:8000", "prometheus": "127.0.0.1:9090", "node": "node-exporter:9100"}


def target(job: str, **changes: Any) -> dict[str, Any]:
    return {"labels": {"job": job, "instance": ADDRESSES.get(job, "bot:8000")}, "scrapePool": job, "health": "up",
            "lastError": "", "scrapeInterval": "15s", **changes}


def series(job: str, begin: float = HOUR, end: float = 5, down: range = range(0), without: range = range(0),
           address: str = "") -> Series:
    """Samples from ``begin`` to ``end`` seconds ago; ``down`` and ``without`` are numbers of scrapes."""
    samples = [Sample(NOW - begin + 15 * number, 0 if number in down else 1)
               for number in range(int((begin - end) // 15) + 1) if number not in without]
    return Series({"__name__": "up", "job": job, "instance": address or ADDRESSES.get(job, "bot:8000")}, samples)


def world(core: Series | None = None, core_target: dict[str, Any] | None = None, *more: dict[str, Any],
          **changes: Any) -> targets.World:
    known = [target("prometheus"), target("node"), *([core_target] if core_target else []), *more]
    up = [series("prometheus"), series("node"), *([core] if core else [])]
    return targets.World(NOW, HOUR, "2.53.3", known, up)._replace(**changes)


def core(found: list[Finding]) -> Finding:
    return next(finding for finding in found if finding.subject == "coinpilot-core")


@pytest.mark.parametrize(("given", "status", "said"), [
    (world(series("coinpilot-core"), target("coinpilot-core")), PASS, "up, 240 scrapes without a gap"),
    # Prometheus, or the target, is new: that is said, and held against nobody.
    (world(series("coinpilot-core", 600), target("coinpilot-core")), PASS, "watched for 10 minutes only"),
    (world(series("coinpilot-core", 600, down=range(4)), target("coinpilot-core")), PASS, "for 10 minutes only"),
    (world(series("coinpilot-core", down=range(4)), target("coinpilot-core")), WARN, "down in 4 of 240"),
    (world(series("coinpilot-core", 600, down=range(40)), target("coinpilot-core", health="down")), FAIL, "in all 40"),
    (world(series("coinpilot-core", down=range(100, 103)), target("coinpilot-core")), WARN,
     "down in 3 of 240 scrapes, last 34 minutes ago"),
    (world(series("coinpilot-core", without=range(100, 140)), target("coinpilot-core")), WARN,
     "not asked for 10 minutes at a stretch (40 of 240 scrapes are missing)"),
    # A restart of Prometheus.
    (world(series("coinpilot-core", without=range(100, 104)), target("coinpilot-core")), PASS, "without a gap"),
    (world(series("coinpilot-core", down=range(220, 240)),
           target("coinpilot-core", health="down", lastError='Get "http://bot:8000/metrics": refused')), FAIL,
     'down for 5 minutes: Get "http://bot:8000/***": refused'),
    (world(series("coinpilot-core", down=range(240)), target("coinpilot-core", health="down")), FAIL,
     "down in all 240 scrapes: no reason given"),
    (world(None, target("coinpilot-core", health="unknown")), WARN, "not scraped yet"),
    (world(series("coinpilot-core", end=1200), target("coinpilot-core")), FAIL, "the last scrape was 20 minutes ago"),
    (world(series("coinpilot-core", end=1200)), FAIL, "the last scrape was 20 minutes ago"),
    (world(), FAIL, "does not know this job"),
    (world(series("coinpilot-core", end=1200), None, target("coinpilot-bot")), FAIL,
     "bot:8000 is scraped under another name, coinpilot-bot"),
    (world(None, None, target("coinpilot-bot")), FAIL, "under another name, coinpilot-bot"),
    # Another thing that is scraped is not its new name.
    (world(None, None, target("caddy", labels={"job": "caddy", "instance": "caddy:2019"})), FAIL, "does not know"),
    (world(series("coinpilot-core", down=range(240))._replace(
        samples=[Sample(NOW - 15 * number, float("nan")) for number in range(9)]), target("coinpilot-core")), FAIL,
     "down in all 9"),
])
def test_a_job(given: targets.World, status: str, said: str) -> None:
    found = targets.judge(given, DESCRIPTION)
    assert core(found).status == status
    assert said in core(found).seen.en
    assert [finding.status for finding in found if finding.subject in ("prometheus", "node", "")] == [PASS] * 3


def test_other_jobs_are_judged_too() -> None:
    caddy = target("caddy", health="down", lastError="no", labels={"job": "caddy", "instance": "caddy:2019"})
    given = world(series("coinpilot-core"), target("coinpilot-core"), caddy)
    given = given._replace(up=[*given.up, series("caddy", down=range(240), address="caddy:2019")])
    found = targets.judge(given, DESCRIPTION)
    assert [(finding.subject, finding.status) for finding in found if finding.status != PASS] == [("caddy", FAIL)]


def test_without_an_exporter_no_job_of_the_host_is_missed() -> None:
    services = {name: service for name, service in DESCRIPTION["services"].items() if name != "node-exporter"}
    assert targets.jobs({**DESCRIPTION, "services": services}) == ["coinpilot-core", "prometheus"]


def test_where_to_look() -> None:
    found = targets.judge(world(series("coinpilot-core", down=range(240)), target("coinpilot-core")), DESCRIPTION)
    assert core(found).fix.en == "docker logs --tail 50 coinpilot-bot"


@pytest.mark.parametrize("junk", [None, 0, "", "x", [], {}, {"labels": 3}, {"labels": {"job": []}, "lastError": 3}])
def test_no_target_breaks_the_verdict(junk: Any) -> None:
    for key in target("coinpilot-core"):
        broken = {**target("coinpilot-core"), key: junk}
        assert targets.judge(world(series("coinpilot-core"), broken), DESCRIPTION)


@pytest.mark.parametrize(("window", "length"), [("1h", 3600), ("90m", 5400), ("7d", 604800), ("1h30m", 5400)])
def test_windows(window: str, length: float) -> None:
    assert targets.window_seconds(window) == length


@pytest.mark.parametrize("window", ["", "1", "h", "30s", "8d", "-1h", "1h; up", "1e9h", "\u0661h", "1" * 5000])
def test_no_windows(window: str) -> None:
    with pytest.raises(ValueError, match="window"):
        targets.window_seconds(window)


# Over HTTP -----------------------------------------------------------------------------------------------------------

class Prometheus:
    def __init__(self) -> None:
        matrix = [{"metric": dict(each.labels), "values": [[sample.at, "1"] for sample in each.samples]}
                  for each in (series("coinpilot-core"), series("prometheus"), series("node"))]
        self.answers: dict[str, tuple[int, Any]] = {
            "/api/v1/status/buildinfo": (200, {"status": "success", "data": {"version": "3.13.3"}}),
            "/api/v1/targets": (200, {"status": "success", "data": {
                "activeTargets": [target(job) for job in ADDRESSES], "droppedTargets": []}}),
            "/api/v1/query": (200, {"status": "success", "data": {"resultType": "matrix", "result": matrix}}),
        }
        prometheus = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = prometheus.answers[self.path.partition("?")[0]]
                text = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        services = {**DESCRIPTION["services"], "prometheus": {"engine": "prometheus", "container": "p",
                                                              "port": self.server.server_address[1]}}
        self.description = {**DESCRIPTION, "services": services}

    def judge(self) -> list[Finding]:
        return targets.judge(targets.gather(self.description, HOUR, NOW), self.description)


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    made = Prometheus()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_prometheus(prometheus: Prometheus) -> None:
    found = prometheus.judge()
    assert findings.worst(found) == PASS
    assert found[0].seen.en == "version 3.13.3"


@pytest.mark.parametrize(("path", "answer", "said"), [
    ("query", (400, {"status": "error", "errorType": "bad_data", "error": "1:1: parse error"}), "(400): 1:1: parse"),
    ("query", (503, "Service Unavailable"), "(503)"),
    ("query", (200, {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}}]}}), "not what"),
    ("query", (200, {"status": "success", "data": {"result": [{"metric": {}, "values": [["x", "y"]]}]}}), "not what"),
    ("query", (200, {"status": "success", "data": {"result": 7}}), "not what"),
    ("targets", (200, {"status": "success", "data": {"activeTargets": None}}), "not what"),
    ("targets", (200, {"status": "success", "data": {"activeTargets": [None]}}), "not what"),
    ("status/buildinfo", (200, "<html>not Prometheus"), "not what"),
    ("status/buildinfo", (302, ""), "(302)"),
])
def test_what_prometheus_may_answer(prometheus: Prometheus, path: str, answer: tuple[int, Any], said: str) -> None:
    prometheus.answers["/api/v1/" + path] = answer
    found = prometheus.judge()
    assert [(finding.id, finding.status) for finding in found] == [("prometheus-api", UNKNOWN)]
    assert said in found[0].seen.en


def test_prometheus_is_down(prometheus: Prometheus) -> None:
    prometheus.server.shutdown()
    prometheus.server.server_close()
    found = prometheus.judge()
    assert [(finding.id, finding.status) for finding in found] == [("prometheus-api", UNKNOWN)]
    assert "does not answer" in found[0].seen.en


def test_a_description_without_prometheus() -> None:
    found = targets.judge(targets.gather({**DESCRIPTION, "services": {}}, HOUR), DESCRIPTION)
    assert found[0].status == UNKNOWN


def test_every_text_can_be_filled() -> None:
    assert prometheus_api.finding(PrometheusError("refused", 400, "no"), DESCRIPTION).fix.ko
    for rule in (*targets.RULES.values(), *prometheus_api.RULES.values()):
        for case in rule.cases.values():
            assert all(case.seen) and (case.status == PASS or all(case.fix)), rule.id
