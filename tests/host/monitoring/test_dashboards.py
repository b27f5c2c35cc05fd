"""The dashboards on a provisioned host: Grafana serves them, and every panel has something to show.

Grafana is a double here: it reads the real files and passes queries on to the real Prometheus, but draws nothing.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple

import grafana_dashboards
import pytest
from stack_on_host import ops, said
from testinfra.host import Host

DASHBOARDS = grafana_dashboards.load()
# Queries that have no answer on a host where all is well, by panel, and why.
EMPTY = {
    ("인증서 · Certificates", "A"): "no reverse proxy keeps a certificate here",
    ("디스크 여유와 하루 뒤 예측 · Disk space and its forecast", "B"): "a trend wants six hours of samples",
}
# The engine of a stand-in host reads no memory and no processor time, and sets no limit, where the machine below it has
# the old control groups.
WITHOUT_CONTROLLERS = re.compile("coinpilot_container_(memory|cpu)_")
# A rate wants two samples within its minute.
PATIENCE = 300

# Asks Grafana, as its administrator, for all the paths it is given; runs on the host.
_ASK = """
import base64, json, subprocess, sys, urllib.error, urllib.request
names = ["GF_SECURITY_ADMIN_USER", "GF_SECURITY_ADMIN_PASSWORD"]
shown = subprocess.check_output(["docker", "exec", "coinpilot-grafana", "printenv", *names], text=True)
token = base64.b64encode(":".join(shown.splitlines()).encode()).decode()
answers = []
for path in json.loads(sys.argv[1]):
    request = urllib.request.Request("http://127.0.0.1:3000" + path, headers={"Authorization": "Basic " + token})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            answers.append([response.status, json.load(response)])
    except urllib.error.HTTPError as error:
        answers.append([error.code, None])
print(json.dumps(answers))
"""


class Answer(NamedTuple):
    status: int
    content: Any


Ask = Callable[[list[str]], list[Answer]]


@pytest.fixture(scope="module")
def ask(host: Host) -> Ask:
    """``ask(["/api/health"])``"""
    return lambda paths: [Answer(*answer) for answer in json.loads(
        host.check_output("python3 -c %s %s", _ASK, json.dumps(paths)))]


@pytest.fixture(scope="module")
def proven(host: Host) -> None:
    """A host on which all that the dashboards tell of has happened once."""
    for command in ("backup redis", "restore-rehearsal redis"):
        rc, report = ops(host, command)
        assert rc == 0, said(report)
    ops(host, "verify")


@pytest.fixture(scope="module")
def controllers(host: Host) -> bool:
    """Whether the host's engine can tell what its containers use."""
    return "true" in host.check_output("docker info --format '{{.MemoryLimit}}'")


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_grafana_serves_it(ask: Ask, uid: str) -> None:
    answer = ask([f"/api/dashboards/uid/{uid}"])[0]
    assert answer.status == 200
    served = answer.content["dashboard"]
    assert answer.content["meta"]["provisioned"]
    assert served["title"] == DASHBOARDS[uid]["title"]
    assert list(grafana_dashboards.queries(served)) == list(grafana_dashboards.queries(DASHBOARDS[uid]))


def test_it_is_found_in_the_stacks_folder(ask: Ask) -> None:
    found = {entry["uid"]: entry["folderTitle"] for entry in ask(["/api/search?type=dash-db"])[0].content}
    assert {uid: found.get(uid) for uid in DASHBOARDS} == dict.fromkeys(DASHBOARDS, "CoinPilot (managed)")


def test_every_query_of_every_panel_answers(ask: Ask, proven: None, controllers: bool) -> None:
    queries = [query for dashboard in DASHBOARDS.values() for query in grafana_dashboards.queries(dashboard)
               if (query.panel, query.ref) not in EMPTY
               and (controllers or not WITHOUT_CONTROLLERS.search(query.expression))]
    until = time.monotonic() + PATIENCE
    while (silent := unanswered(ask, queries)) and time.monotonic() < until:
        time.sleep(5)
    assert silent == []


def unanswered(ask: Ask, queries: list[grafana_dashboards.Query]) -> list[grafana_dashboards.Query]:
    """The queries that Prometheus, asked through Grafana, has no series for."""
    proxy = "/api/datasources/proxy/uid/managed-prometheus/api/v1/query?query="
    answers = ask([proxy + urllib.parse.quote(query.expression) for query in queries])
    assert {answer.status for answer in answers} == {200}
    return [query for query, answer in zip(queries, answers, strict=True) if not answer.content["data"]["result"]]


def test_a_query_for_what_does_not_exist_is_silent(ask: Ask) -> None:
    """What the test above goes by."""
    query = grafana_dashboards.Query("none", "A", "no_such_metric")
    assert unanswered(ask, [query]) == [query]
