# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Does Prometheus see what it is to watch, and has it all along? `gather` asks it, `judge` is pure.

`up` now is one sample. What is judged are all the samples of a window, as they were scraped.
"""

from __future__ import annotations

import itertools
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import http_json, prometheus_api
from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, table
from .moments import seconds, span
from .prometheus_api import Prometheus, PrometheusError, Sample, Series

NODE_JOB, OWN_JOB = "node", "prometheus"
LONGEST_WINDOW = 7 * 86400

# Scrapes that may be missing in a row: a deploy restarts Prometheus, which takes some seconds.
_PATIENCE = 120.0
_MISSED = 4
_INTERVAL = 15.0

_LOGS = Text("docker logs --tail 50 {container}", "docker logs --tail 50 {container}")

RULES = table(
    Rule(
        "metrics-target", Text("metrics", "메트릭 수집"),
        Text("up in every scrape of the last {window}", "최근 {window} 동안 모든 수집에서 up"),
        {
            "up": Case(PASS, Text("up, {scrapes} scrapes without a gap", "up, {scrapes}회 수집, 빈 구간 없음")),
            "new": Case(PASS, Text("up, {scrapes} scrapes without a gap; watched for {watched} only",
                                   "up, {scrapes}회 수집, 빈 구간 없음. 수집 기간은 {watched}뿐임")),
            "was-down": Case(WARN, Text("up now, but down in {down} of {scrapes} scrapes, last {ago} ago",
                                        "지금은 up이지만 {scrapes}회 중 {down}회 down, 마지막은 {ago} 전"),
                             Text("what happened then? docker logs --since {minutes}m {container}",
                                  "그때 무슨 일이 있었나요? docker logs --since {minutes}m {container}")),
            "gaps": Case(WARN, Text("up, but not asked for {longest} at a stretch ({missing} of {expected} scrapes "
                                    "are missing)",
                                    "up이지만 {longest} 동안 수집이 없었음({expected}회 중 {missing}회 빠짐)"),
                         Text("was Prometheus stopped or short of time? docker logs --tail 50 {prometheus}",
                              "Prometheus가 멈췄거나 느려졌나요? docker logs --tail 50 {prometheus}")),
            "down": Case(FAIL, Text("down for {ago}: {error}", "{ago}째 down: {error}"), _LOGS),
            "never-up": Case(FAIL, Text("down in all {scrapes} scrapes: {error}",
                                        "{scrapes}회 수집 모두 down: {error}"), _LOGS),
            "unscraped": Case(WARN, Text("not scraped yet", "아직 수집 전"),
                              Text("look again in a minute", "1분 뒤에 다시 확인하세요")),
            "gone": Case(FAIL, Text("Prometheus has stopped asking; the last scrape was {ago} ago",
                                    "Prometheus가 더는 수집하지 않음. 마지막 수집은 {ago} 전"),
                         Text("its job is missing in prometheus.yml: ansible-playbook site.yml",
                              "prometheus.yml에 이 job이 없습니다: ansible-playbook site.yml")),
            "renamed": Case(FAIL, Text("{address} is scraped under another name, {other}: alert rules do not see it",
                                       "{address}이(가) 다른 이름 {other}(으)로 수집됨. 알림 규칙이 보지 못함"),
                            Text("give the job its name back: ansible-playbook site.yml",
                                 "job 이름을 되돌리세요: ansible-playbook site.yml")),
            "missing": Case(FAIL, Text("Prometheus does not know this job", "Prometheus에 이 job이 없음"),
                            Text("ansible-playbook site.yml", "ansible-playbook site.yml")),
        }),
)


class World(NamedTuple):
    """What Prometheus says of the window that ends ``now``."""

    now: float
    window: float
    version: str = ""
    targets: Sequence[Mapping[str, Any]] = ()
    up: Sequence[Series] = ()
    error: Optional[PrometheusError] = None


class _Target(NamedTuple):
    """One target as Prometheus has it now."""

    job: str
    address: str
    health: str
    error: str
    interval: float


def jobs(description: Mapping[str, Any]) -> List[str]:
    """The jobs that this stack has: its application's, Prometheus's own, and the host's where there is an exporter."""
    exporter = any(each.get("engine") == "node-exporter" for each in description["services"].values())
    return ["%s-core" % description["name"], OWN_JOB] + ([NODE_JOB] if exporter else [])


def window_seconds(window: str) -> float:
    """The length of a window such as 1h. ValueError when it is none, or too long or short to be of use."""
    length = seconds(window)
    if length is None or not 60 <= length <= LONGEST_WINDOW:
        raise ValueError("a window is a time from 1m to 7d, such as 1h; this is %r" % window)
    return length


def gather(description: Mapping[str, Any], window: float, now: Optional[float] = None) -> World:
    """Never raises for what Prometheus does; what went wrong is ``error``."""
    world = World(time.time() if now is None else now, window)
    try:
        prometheus = Prometheus(prometheus_api.described(description).get("port"))
        version = prometheus.get("status/buildinfo").get("version", "")
        targets = prometheus.get("targets", state="active").get("activeTargets")
        if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
            raise PrometheusError("answer")
        up = prometheus.samples("up[%ds]" % window)
    except PrometheusError as problem:
        return world._replace(error=problem)
    return world._replace(version=http_json.masked(version), targets=targets, up=up)


def judge(world: World, description: Mapping[str, Any]) -> List[Finding]:
    """One finding a job: those described first, then any other that Prometheus has."""
    if world.error is not None:
        return [prometheus_api.finding(world.error, description)]
    targets = [_target(entry) for entry in world.targets]
    known = jobs(description)
    others = [target.job for target in targets if target.job not in known]
    judged: List[Finding] = []
    renamed: List[str] = []
    for job in known:
        present = [target for target in targets if target.job == job]
        if present:
            judged += [_judge_target(world, description, target) for target in present]
        else:
            found, other = _judge_absent(world, description, job, targets)
            judged.append(found)
            renamed.append(other)
    for job in dict.fromkeys(others):
        if job not in renamed:
            judged += [_judge_target(world, description, target) for target in targets if target.job == job]
    answers = prometheus_api.RULES["prometheus-api"].finding("answers", version=world.version)
    return [answers, *judged]


def _target(entry: Mapping[str, Any]) -> _Target:
    given = entry.get("labels")
    labels = given if isinstance(given, dict) else {}
    return _Target(job=str(labels.get("job", "?")), address=str(labels.get("instance", "?")),
                   health=str(entry.get("health", "")), error=http_json.masked(entry.get("lastError") or ""),
                   interval=seconds(entry.get("scrapeInterval")) or _INTERVAL)


def _samples(world: World, job: str, address: Optional[str] = None) -> List[Sample]:
    found = [sample for series in world.up
             if series.labels.get("job") == job and address in (None, series.labels.get("instance"))
             for sample in series.samples]
    return sorted(found)


def _judge_absent(world: World, description: Mapping[str, Any], job: str,
                  targets: Sequence[_Target]) -> Tuple[Finding, str]:
    """A described job that Prometheus does not have: the finding, and the name it has now, if any."""
    addresses = {series.labels.get("instance") for series in world.up if series.labels.get("job") == job}
    strangers = [target for target in targets if target.job not in jobs(description)]
    other = next((target for target in strangers if target.address in addresses
                  or not addresses and _service(target.address, target.job, description)), None)
    if other is not None:
        return _finding(world, description, "renamed", job, address=other.address, other=other.job), other.job
    samples = _samples(world, job)
    if samples:
        return _finding(world, description, "gone", job, ago=span(world.now - samples[-1].at)), ""
    return _finding(world, description, "missing", job), ""


def _judge_target(world: World, description: Mapping[str, Any], target: _Target) -> Finding:
    samples = _samples(world, target.job, target.address)
    subject = target.job
    if not samples:
        return _finding(world, description, "unscraped", subject)
    tolerated = max(_PATIENCE, _MISSED * target.interval)
    watched = world.now - samples[0].at
    late = world.window - watched > tolerated
    if late:
        # What is watched since a while only was being started at first.
        samples = list(itertools.dropwhile(lambda sample: not sample.value >= 1, samples)) or samples
    down = [sample for sample in samples if not sample.value >= 1]
    numbers = {"scrapes": len(samples), "down": len(down), "address": target.address,
               "error": target.error or Text("no reason given", "이유 없음")}
    if len(down) == len(samples):
        return _finding(world, description, "never-up", subject, **numbers)
    if target.health == "down" or not samples[-1].value >= 1:
        good = max(sample.at for sample in samples if sample.value >= 1)
        return _finding(world, description, "down", subject, ago=span(world.now - good), **numbers)
    if world.now - samples[-1].at > tolerated:
        return _finding(world, description, "gone", subject, ago=span(world.now - samples[-1].at), **numbers)
    if down:
        return _finding(world, description, "was-down", subject, ago=span(world.now - down[-1].at),
                        minutes=int((world.now - down[0].at) // 60) + 2, **numbers)
    longest = max((after.at - before.at for before, after in zip(samples, samples[1:])), default=0.0)
    if longest > tolerated:
        expected = int(watched // target.interval)
        return _finding(world, description, "gaps", subject, longest=span(longest), expected=expected,
                        missing=max(0, expected - len(samples)), **numbers)
    return _finding(world, description, "new" if late else "up", subject, watched=span(watched), **numbers)


def _service(address: str, job: str, description: Mapping[str, Any]) -> Mapping[str, Any]:
    """The described service at an address such as bot:8000; Prometheus asks itself at 127.0.0.1."""
    if job == OWN_JOB:
        return prometheus_api.described(description)
    return dict(description["services"].get(address.rpartition(":")[0], {}))


def _finding(world: World, description: Mapping[str, Any], case: str, job: str, **values: Any) -> Finding:
    prometheus = prometheus_api.described(description).get("container", "")
    service = _service(str(values.get("address", "")), job, description)
    texts: Dict[str, Any] = {"window": span(world.window), "prometheus": prometheus,
                             "container": service.get("container", prometheus), **values}
    return RULES["metrics-target"].finding(case, job, **texts)
