# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""One turn of the watch, each minute while there is something to do: the checkpoints that are due, told to Discord.

A checkpoint that was missed, because the host was off, runs at the next turn and says how late it is. What could not
be told is tried again.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import dotenv, files, http_json, metrics, watch, watch_message
from .findings import FAIL, NOTHING, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table
from .watch import Description, Entry

WEBHOOK = "DISCORD_WEBHOOK_URL"
_SECONDS = 20.0
# Seconds after a boot: sooner, Prometheus and Grafana still tell of what was down meanwhile.
SETTLED = 180.0
_PAUSE, _GIVE_UP = 600.0, 2 * watch.DAY
_SHORTEST_SECRET = 8
# The values of the metric.
VERDICTS = {PASS: 0, WARN: 1, UNKNOWN: 2, FAIL: 3}

_LOOK = Text("look at all of it: sudo coinpilot-ops check {subject}", "전체 확인: sudo coinpilot-ops check {subject}")
RULES = table(
    Rule("watch-checkpoint", Text("checkpoint", "체크포인트"), Text("every item passes", "모든 항목 정상"), {
        status: Case(status, Text("{told}", "{told}"), NOTHING if status == PASS else _LOOK) for status in VERDICTS
    }),
    Rule("watch-due", Text("24-hour watch", "24시간 감시"), Text("what is due has run", "예정된 점검은 모두 실행됨"), {
        "nothing": Case(PASS, Text("nothing is due", "지금 할 점검이 없음")),
    }),
    Rule("watch-message", Text("message to Discord", "Discord 메시지"), Text("delivered", "전달됨"), {
        "delivered": Case(PASS, Text("delivered", "전달됨")),
        "undelivered": Case(WARN, Text("not delivered: {why}", "전달되지 않음: {why}"),
                            Text("it is tried again; check the network and DISCORD_WEBHOOK_URL in the vault",
                                 "다시 시도합니다. 네트워크와 Vault의 DISCORD_WEBHOOK_URL을 확인하세요")),
        "given-up": Case(WARN, Text("not delivered within two days: {why}", "이틀 동안 전달되지 않음: {why}"),
                         Text("the result is kept: sudo coinpilot-ops status; check DISCORD_WEBHOOK_URL in the vault",
                              "결과는 남아 있습니다: sudo coinpilot-ops status. Vault의 DISCORD_WEBHOOK_URL을 "
                              "확인하세요")),
        "no-address": Case(WARN, Text("DISCORD_WEBHOOK_URL is empty: nobody was told",
                                      "DISCORD_WEBHOOK_URL이 비어 있어 알리지 못함"),
                           Text("put it into the vault and deploy: ansible-playbook site.yml",
                                "Vault에 값을 넣고 배포하세요: ansible-playbook site.yml")),
    }),
    Rule("watch-state", Text("watch", "감시"), Text("its state can be written", "상태를 기록할 수 있음"), {
        "unwritten": Case(WARN, Text("{path} could not be written: {error}", "{path}에 쓸 수 없음: {error}"),
                          Text("make room or mend the mount: df -h {directory}",
                               "공간이나 마운트를 확인하세요: df -h {directory}")),
    }),
)
_WHY = {
    "address": Text("no http or https address", "http 또는 https 주소가 아님"),
    "down": Text("no connection", "연결되지 않음"),
    "timeout": Text("no answer in time", "응답 시간 초과"),
    "answer": Text("no proper HTTP answer", "올바른 HTTP 응답이 아님"),
    "status": Text("HTTP {status}", "HTTP {status}"),
}


class Checked(NamedTuple):
    """What a run of the checklist told: of each item, and all of it."""

    items: Dict[str, str]
    findings: List[Finding]


class Pending(NamedTuple):
    """What is still to be told (arming, checkpoint), and when that was last tried."""

    untold: List[Tuple[float, str]]
    tried_at: float = 0.0


Check = Callable[[Description, str], Checked]
# Posts to an address; an empty text when it was taken, otherwise why it was not.
Post = Callable[[str, Mapping[str, Any]], Optional[Text]]


def check(description: Description, checkpoint: str) -> Checked:
    from . import checklist

    results = checklist.run(description, checkpoint)
    return Checked({result.item.id: result.status for result in results},
                   [finding for result in results for finding in result.findings])


def seconds_up() -> float:
    """Since the host booted, by the age of its first process."""
    with open("/proc/1/stat", encoding="utf-8", errors="replace") as stream:
        # The name, in parentheses, may hold anything; the start is 20 fields after it.
        started = float(stream.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def run(description: Description, check: Check = check, now: Callable[[], float] = time.time,
        post: Optional[Post] = None, up: Callable[[], float] = seconds_up) -> List[Finding]:
    """One turn. What there was to do stands in the findings; with nothing to do there is none."""
    try:
        with watch.locked(description, "turn.lock"):
            return _turn(description, check, now, post or _post, up() >= SETTLED)
    except OSError as problem:
        return [RULES["watch-state"].finding("unwritten", path=watch.directory(description), error=problem.strerror,
                                             directory=description["state_directory"])]


def nothing_due() -> Finding:
    return RULES["watch-due"].finding("nothing")


def _turn(description: Description, check: Check, now: Callable[[], float], post: Post, settled: bool
          ) -> List[Finding]:
    armed, found = watch.load_armed(description)
    entries, unread = watch.history(description, watch.DAYS_KEPT, now())
    due = watch.due(armed, entries, now()) if settled else []
    pending = read_pending(description)
    if due:
        # Proves that there is room: a result that cannot be kept would be told again each minute.
        _settle(description, pending, now())
    fresh: List[Entry] = []
    for wanted in due:
        begun = now()
        checked = check(description, wanted.checkpoint)
        fresh.append(watch.entry(wanted.checkpoint, checked.findings, checked.items, begun, now() - begun, armed,
                                 begun - wanted.at))
    if fresh:
        with watch.locked(description):
            found += watch.append(description, *fresh)
        pending = pending._replace(untold=pending.untold + [_key(entry) for entry in fresh], tried_at=0.0)
        _settle(description, pending, now())
    else:
        found += unread
    found += [RULES["watch-checkpoint"].finding(entry["verdict"], entry["checkpoint"], told=watch_message.told(entry))
              for entry in fresh]
    pending, told = _tell(description, pending, entries + fresh, now(), post)
    _settle(description, pending, now())
    write_metrics(description, len(pending.untold), now())
    return found + told


def _key(entry: Entry) -> Tuple[float, str]:
    return entry["armed_at"], entry["checkpoint"]


# Telling -------------------------------------------------------------------------------------------------------------

def _tell(description: Description, pending: Pending, entries: Sequence[Entry], now: float, post: Post
          ) -> Tuple[Pending, List[Finding]]:
    """Sends what was not delivered yet, unless that was tried just now."""
    by_key = {_key(entry): entry for entry in entries}
    queue = [by_key[key] for key in pending.untold if key in by_key]
    if not queue or 0 <= now - pending.tried_at < _PAUSE:
        return pending._replace(untold=[_key(entry) for entry in queue]), []
    left, found = _send(description, queue, entries, now, post)
    return Pending(left, now), found


def _send(description: Description, queue: Sequence[Entry], entries: Sequence[Entry], now: float, post: Post
          ) -> Tuple[List[Tuple[float, str]], List[Finding]]:
    """What is left, and what became of each; after one that did not arrive the others wait."""
    values = _values(description)
    url = values.get(WEBHOOK, "")
    if not url:
        return [], [RULES["watch-message"].finding("no-address")]
    hidden = [url] + [values[key] for key in description["required_keys"] if key in values]
    left: List[Tuple[float, str]] = []
    found: List[Finding] = []
    for entry in queue:
        if found and found[-1].status != PASS:
            left.append(_key(entry))
            continue
        why = post(url, _masked(watch_message.message(entry, entries, description), hidden))
        if why is None:
            found.append(RULES["watch-message"].finding("delivered", entry["checkpoint"]))
        elif now - entry["at"] > _GIVE_UP:
            found.append(RULES["watch-message"].finding("given-up", entry["checkpoint"], why=why))
        else:
            found.append(RULES["watch-message"].finding("undelivered", entry["checkpoint"], why=why))
            left.append(_key(entry))
    return left, found


def _post(url: str, body: Mapping[str, Any]) -> Optional[Text]:
    if not url.startswith(("https://", "http://")):
        return _WHY["address"]
    try:
        answer = http_json.ask(url, body, timeout=_SECONDS)
    except http_json.HttpError as problem:
        return _WHY[problem.case]
    except ValueError:
        return _WHY["address"]
    return None if 200 <= answer.status < 300 else _WHY["status"].fill(status=answer.status)


def _values(description: Description) -> Dict[str, str]:
    try:
        return dotenv.parse(files.read_text(os.path.join(description["directory"], ".env")) or "")
    except (OSError, ValueError):
        return {}


def _masked(value: Any, hidden: Sequence[str]) -> Any:
    """No secret leaves the host, whatever a finding quotes."""
    if isinstance(value, dict):
        return {key: _masked(part, hidden) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part, hidden) for part in value]
    if isinstance(value, str):
        for secret in hidden:
            if len(secret) >= _SHORTEST_SECRET:
                value = value.replace(secret, "***")
    return value


# What is left to do --------------------------------------------------------------------------------------------------

def read_pending(description: Description) -> Pending:
    """What was not delivered. One that is damaged is taken for empty: what it forgets stands in the history."""
    try:
        told = json.loads(files.read_text(watch.pending_path(description)) or "{}")
        return Pending([(float(armed_at), str(checkpoint)) for armed_at, checkpoint in told.get("untold", [])],
                       float(told.get("tried_at", 0)))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return Pending([])


def _settle(description: Description, pending: Pending, now: float) -> None:
    """Notes what is left; with nothing left the file goes, and with it the turns. Under the lock: see `watch.arm`."""
    path = watch.pending_path(description)
    with watch.locked(description):
        entries, _found = watch.history(description, watch.DAYS_KEPT, now)
        if pending.untold or watch.outstanding(watch.armed(description), entries):
            file = files.File(path, json.dumps(pending._asdict()) + "\n", 0o600)
            if not files.is_in_place(file):
                files.remove_leftovers(path)
                files.write(file)
        elif os.path.exists(path):
            os.unlink(path)


# For Prometheus ------------------------------------------------------------------------------------------------------

def write_metrics(description: Description, untold: int, now: float) -> None:
    """Raises OSError."""
    path = os.path.join(metrics.directory(description["state_directory"]), "watch.prom")
    armed = watch.armed(description)
    entries, _found = watch.history(description, watch.DAYS_KEPT, now)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    file = files.File(path, render_metrics(description["name"], armed, entries, untold), 0o644)
    if not files.is_in_place(file):
        files.remove_leftovers(path)
        files.write(file)


def render_metrics(stack: str, armed: Optional[watch.Armed], entries: Sequence[Entry], untold: int) -> str:
    prefix = metrics.prefix(stack) + "_watch_"
    done = watch.runs(armed, entries)
    left = watch.outstanding(armed, entries)
    return metrics.render([
        metrics.Metric(prefix + "armed_timestamp_seconds", "When a change last began the 24-hour watch.",
                       [({}, armed["armed_at"] if armed else None)]),
        metrics.Metric(prefix + "next_due_timestamp_seconds", "When its next checkpoint is due; none when it is over.",
                       [({}, left[0].at if left else None)]),
        metrics.Metric(prefix + "verdict", "What a checkpoint of it told: 0 pass, 1 warning, 2 unknown, 3 failure.",
                       [({"checkpoint": name}, VERDICTS[entry["verdict"]]) for name, entry in done.items()]),
        metrics.Metric(prefix + "undelivered", "Its messages that did not reach Discord yet.", [({}, untold)]),
    ])
