# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""One turn of the watch, each minute while there is something to do: the checkpoints that are due, told to Discord.

A checkpoint that was missed, because the host was off, runs at the next turn and says how late it is. What could not
be told is tried again. Nothing is checked or told that could not be noted: it would be again each minute. What keeps
the watch from going on is told once, noted where a full disk does not matter.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Dict, Generator, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import deploy_state, dotenv, files, http_json, metrics, watch, watch_message
from .findings import FAIL, NOTHING, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table
from .watch import Description, Entry

WEBHOOK = "DISCORD_WEBHOOK_URL"
_SECONDS = 20.0
# Seconds after a boot: sooner, Prometheus and Grafana still tell of what was down meanwhile.
SETTLED = 180.0
_PAUSE, _GIVE_UP = 600.0, 2 * watch.DAY
# The message is not one, or the webhook is not there any more.
_FOR_GOOD = (400, 401, 404)
RUNTIME = "/run"
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
        "refused": Case(WARN, Text("Discord refused it: {why}; it is not tried again",
                                   "Discord가 거부하여 다시 시도하지 않음: {why}"),
                        Text("the result is kept: sudo coinpilot-ops status; check DISCORD_WEBHOOK_URL in the vault",
                             "결과는 남아 있습니다: sudo coinpilot-ops status. Vault의 DISCORD_WEBHOOK_URL을 "
                             "확인하세요")),
        "no-address": Case(WARN, Text("DISCORD_WEBHOOK_URL is empty: nobody was told",
                                      "DISCORD_WEBHOOK_URL이 비어 있어 알리지 못함"),
                           Text("put it into the vault and deploy: ansible-playbook site.yml",
                                "Vault에 값을 넣고 배포하세요: ansible-playbook site.yml")),
    }),
    Rule("watch-state", Text("watch", "감시"), Text("its state can be written", "상태를 기록할 수 있음"), {
        "unwritten": Case(WARN, Text("the watch cannot record: {path}: {error}; no checkpoint runs until it can",
                                     "감시 결과를 기록할 수 없음: {path}: {error}. 해결될 때까지 체크포인트가 "
                                     "실행되지 않음"),
                          Text("make room or mend the mount: df -h {directory}",
                               "공간이나 마운트를 확인하세요: df -h {directory}")),
        "unnoted": Case(WARN, Text("{path} could not be written: {error}", "{path}에 쓸 수 없음: {error}"),
                        Text("nobody was told of the above; make room: df -h /run",
                             "위 내용을 알리지 못했습니다. 공간을 확인하세요: df -h /run")),
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


class Told(NamedTuple):
    """Of what keeps the watch from going on: what was told, and when telling was last tried."""

    told: List[str]
    tried_at: float = 0.0


class Refusal(NamedTuple):
    """Why a message was not taken, and whether another try is of no use."""

    why: Text
    for_good: bool = False


Check = Callable[[Description, str], Checked]
# Posts to an address; None when it was taken.
Post = Callable[[str, Mapping[str, Any]], Optional[Refusal]]


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
    found: List[Finding] = []
    try:
        with watch.locked(description, "turn.lock"):
            # One by one: what came before an error counts.
            for finding in _turn(description, check, now, post or _post, up() >= SETTLED):
                found.append(finding)
    except OSError as problem:
        found.append(RULES["watch-state"].finding(
            "unwritten", path=watch.directory(description), error=problem.strerror,
            directory=description["state_directory"]))
    return found + _tell_trouble(description, found, now(), post or _post)


def nothing_due() -> Finding:
    return RULES["watch-due"].finding("nothing")


def _turn(description: Description, check: Check, now: Callable[[], float], post: Post, settled: bool
          ) -> Iterator[Finding]:
    armed, wrong = watch.load_armed(description, now())
    entries, unread = watch.history(description)
    yield from wrong
    if _is_unread(unread):
        # What has run is not known, nor what it told.
        yield from unread
        return
    due = watch.due(armed, entries, now()) if settled else []
    if due:
        with deploy_state.undisturbed(description) as quiet:
            if not quiet:
                yield deploy_state.RULES["deploy-at-work"].finding("skipped")
                return
            with watch.locked(description):
                _note(description, read_pending(description))
                yield from watch.prove_writable(description)
            fresh = [_checked(description, wanted, armed, check, now) for wanted in due]
        _record(description, fresh)
        for entry in fresh:
            yield RULES["watch-checkpoint"].finding(entry["verdict"], entry["checkpoint"],
                                                    told=watch_message.told(entry))
        entries += fresh
    else:
        yield from unread
    pending = yield from _tell(description, entries, now(), post)
    _settle(description, pending, now())
    write_metrics(description, len(pending.untold))


def _is_unread(found: Sequence[Finding]) -> bool:
    return any(finding.status == UNKNOWN for finding in found)


def _checked(description: Description, wanted: watch.Due, armed: Optional[watch.Armed], check: Check,
             now: Callable[[], float]) -> Entry:
    begun = now()
    checked = check(description, wanted.checkpoint)
    return watch.entry(wanted.checkpoint, checked.findings, checked.items, begun, now() - begun, armed,
                       begun - wanted.at)


def _record(description: Description, fresh: Sequence[Entry]) -> None:
    """Raises OSError."""
    with watch.locked(description):
        untold = read_pending(description).untold + [_key(entry) for entry in fresh]
        # First: what is to be told of a run that is not there is dropped, a run that is not noted would never be told.
        _note(description, Pending(list(dict.fromkeys(untold))))
        watch.append(description, *fresh)


def _key(entry: Entry) -> Tuple[float, str]:
    return entry["armed_at"], entry["checkpoint"]


# Telling -------------------------------------------------------------------------------------------------------------

class _Discord:
    """Where the messages go."""

    def __init__(self, description: Description, post: Post):
        values = _values(description)
        self._url = values.get(WEBHOOK, "")
        self._hidden = [self._url] + [values[key] for key in description["required_keys"] if key in values]
        self._post = post

    def send(self, body: Mapping[str, Any], subject: str = "", is_old: bool = False) -> Tuple[bool, Finding]:
        """Whether the message is done with, and what became of it."""
        rule = RULES["watch-message"]
        if not self._url:
            return True, rule.finding("no-address", subject)
        refusal = self._post(self._url, _masked(body, self._hidden))
        if refusal is None:
            return True, rule.finding("delivered", subject)
        case = "refused" if refusal.for_good else "given-up" if is_old else "undelivered"
        return case != "undelivered", rule.finding(case, subject, why=refusal.why)


def _tell(description: Description, entries: Sequence[Entry], now: float, post: Post
          ) -> Generator[Finding, None, Pending]:
    """Sends what was not delivered yet, unless that was tried just now. Gives what is left."""
    pending = read_pending(description)
    by_key = {_key(entry): entry for entry in entries}
    queue = [by_key[key] for key in pending.untold if key in by_key]
    pending = pending._replace(untold=[_key(entry) for entry in queue])
    if queue and not 0 <= now - pending.tried_at < _PAUSE:
        pending = pending._replace(tried_at=now)
        with watch.locked(description):
            # First: where that cannot be noted the same would be sent each minute.
            _note(description, pending)
        left, found = _send(description, queue, entries, now, post)
        yield from found
        pending = pending._replace(untold=left)
    return pending


def _send(description: Description, queue: Sequence[Entry], entries: Sequence[Entry], now: float, post: Post
          ) -> Tuple[List[Tuple[float, str]], List[Finding]]:
    """What is left, and what became of each; after one that is to be tried again the others wait."""
    discord = _Discord(description, post)
    found: List[Finding] = []
    for number, entry in enumerate(queue):
        done, finding = discord.send(watch_message.message(entry, entries, description), entry["checkpoint"],
                                     now - entry["at"] > _GIVE_UP)
        found.append(finding)
        if not done:
            return [_key(waiting) for waiting in queue[number:]], found
    return [], found


def _post(url: str, body: Mapping[str, Any]) -> Optional[Refusal]:
    if not url.startswith(("https://", "http://")):
        return Refusal(_WHY["address"])
    try:
        answer = http_json.ask(url, body, timeout=_SECONDS)
    except http_json.HttpError as problem:
        return Refusal(_WHY[problem.case])
    except ValueError:
        return Refusal(_WHY["address"])
    if 200 <= answer.status < 300:
        return None
    return Refusal(_WHY["status"].fill(status=answer.status), answer.status in _FOR_GOOD)


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


def _note(description: Description, pending: Pending) -> None:
    """For who holds the lock. Raises OSError."""
    path = watch.pending_path(description)
    files.remove_leftovers(path)
    files.write(_noted(path, pending))


def _noted(path: str, note: Union[Pending, Told]) -> files.File:
    return files.File(path, json.dumps(note._asdict()) + "\n", 0o600)


def _settle(description: Description, pending: Pending, now: float) -> None:
    """Notes what is left; with nothing left the file goes, and with it the turns: not where it cannot be told whether
    something is. Under the lock: see `watch.arm`."""
    path = watch.pending_path(description)
    with watch.locked(description):
        armed, wrong = watch.load_armed(description, now)
        entries, unread = watch.history(description)
        if wrong or _is_unread(unread) or pending.untold or watch.outstanding(armed, entries):
            if not files.is_in_place(_noted(path, pending)):
                _note(description, pending)
        elif os.path.exists(path):
            os.unlink(path)


# What keeps it from going on -----------------------------------------------------------------------------------------

def _tell_trouble(description: Description, found: Sequence[Finding], now: float, post: Post) -> List[Finding]:
    """Tells each trouble once, until it is over."""
    if any(finding.id == "deploy-at-work" for finding in found):
        # Whether it is over was not tried.
        return []
    trouble = [finding for finding in found if finding.id in ("watch-armed", "watch-state")
               or finding.id == "watch-history" and finding.status == UNKNOWN]
    path = os.path.join(RUNTIME, "%s-watch.json" % description["name"])
    before = _read_told(path)
    names = [finding.id for finding in trouble]
    note = before._replace(told=[name for name in before.told if name in names])
    new = [finding for finding in trouble if finding.id not in note.told]
    said: List[Finding] = []
    try:
        if new and not 0 <= now - note.tried_at < _PAUSE:
            note = note._replace(tried_at=now)
            # First: as with the checkpoints.
            files.write(_noted(path, note))
            done, finding = _Discord(description, post).send(watch_message.trouble(new, description))
            said.append(finding)
            note = note._replace(told=names if done else note.told)
        if note != before:
            files.write(_noted(path, note))
    except OSError as problem:
        said.append(RULES["watch-state"].finding("unnoted", path=path, error=problem.strerror))
    return said


def _read_told(path: str) -> Told:
    """What was told. A note that is damaged is taken for empty."""
    try:
        noted = json.loads(files.read_text(path) or "{}")
        return Told([str(name) for name in noted.get("told", [])], float(noted.get("tried_at", 0)))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return Told([])


# For Prometheus ------------------------------------------------------------------------------------------------------

def write_metrics(description: Description, untold: int) -> None:
    """Raises OSError."""
    path = os.path.join(metrics.directory(description["state_directory"]), "watch.prom")
    armed = watch.armed(description)
    entries, _found = watch.history(description)
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
