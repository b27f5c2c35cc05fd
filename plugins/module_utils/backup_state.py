# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What others read of the backups of a target: its state as JSON, metrics for Prometheus, pings to a watchdog.

Nothing here decides whether a backup is good: what cannot be written or delivered is a warning to the caller.
Moments are given in epoch seconds and stand in the state in UTC, as in a manifest.
"""

from __future__ import annotations

import calendar
import contextlib
import fcntl
import glob
import http.client
import json
import os
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from . import backup_store, files, metrics
from .backup_store import Backup
from .findings import LANGUAGES, NOTHING, WARN, Case, Finding, Rule, Text, problems, table

State = Dict[str, Any]

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_NUMBER = (int, float)
_SECTIONS: Dict[str, Dict[str, Any]] = {
    "last_attempt": {"at": _TIME},
    "last_success": {"at": _TIME, "name": str, "seconds": _NUMBER, "size": int, "raw_size": int, "count": int},
    "last_failure": {"at": _TIME, "findings": list, "text": dict},
    "last_rehearsal": {"at": _TIME, "name": str, "ok": (bool, type(None)), "seconds": _NUMBER, "what": dict},
    "last_rehearsal_success": {"at": _TIME, "name": str},
}
_PROOF = {"at": _TIME, "name": str}
_PROOFS_KEPT = 50
_TRIES, _PAUSE = 2, 1.0
_PATHS = {"start": "/start", "success": "", "failure": "/fail"}

RULES = table(
    Rule("backup-state", Text("backup state", "백업 상태 기록"),
         Text("readable and up to date", "읽을 수 있는 최신 기록"), {
        "damaged": Case(WARN, Text("{path} is damaged and taken for empty", "{path}이(가) 손상되어 빈 기록으로 처리함"),
                        Text("the next run sets it aside and writes a new one: sudo coinpilot-ops backup {subject}",
                             "다음 실행 때 따로 보관하고 새로 씁니다: sudo coinpilot-ops backup {subject}")),
        "set-aside": Case(WARN, Text("it was damaged; it now lies in {path}, and a new one was begun",
                                     "손상되어 있었음. {path}(으)로 옮기고 새로 시작함"),
                          Text("delete that file when you have looked at it", "내용을 확인한 뒤 그 파일을 지우세요")),
        "unwritten": Case(WARN, Text("{path} could not be written: {error}", "{path}에 쓸 수 없음: {error}"),
                          Text("look at the room and the mount: df -h {directory}; findmnt -T {directory}",
                               "공간과 마운트 상태를 확인하세요: df -h {directory}; findmnt -T {directory}")),
    }, Text("look at the file: sudo ls -l {path}", "파일을 확인하세요: sudo ls -l {path}")),
    Rule("backup-metrics", Text("backup metrics", "백업 메트릭"), Text("up to date", "최신 상태"), {
        "unwritten": Case(WARN, Text("{path} could not be written: {error}", "{path}에 쓸 수 없음: {error}"),
                          Text("look at the room and the mount: df -h {directory}; findmnt -T {directory}",
                               "공간과 마운트 상태를 확인하세요: df -h {directory}; findmnt -T {directory}")),
    }),
    Rule("backup-ping", Text("watchdog ping", "감시 서비스 핑"), Text("delivered", "전달됨"), {
        "undelivered": Case(WARN, Text("{event} was not delivered: {why}", "{event} 전달 실패: {why}"),
                            Text("check the network and the address in BACKUP_PING_URL_… of .env",
                                 "네트워크와 .env의 BACKUP_PING_URL_… 주소를 확인하세요")),
    }),
)
_EVENTS = {"start": Text("start", "시작"), "success": Text("success", "성공"), "failure": Text("failure", "실패")}
_WHY = {
    "address": Text("no http or https address", "http 또는 https 주소가 아님"),
    "status": Text("the service answered {code}", "서비스 응답 코드 {code}"),
    "timeout": Text("no answer in {seconds:g} s", "{seconds:g}초 안에 응답이 없음"),
    "name": Text("the name is not known (DNS)", "이름을 찾을 수 없음(DNS)"),
    "certificate": Text("no trusted TLS connection", "TLS 연결을 신뢰할 수 없음"),
    "connection": Text("no connection ({error})", "연결되지 않음({error})"),
    "answer": Text("no proper HTTP answer", "올바른 HTTP 응답이 아님"),
}


def path(state_directory: str, target: str) -> str:
    return os.path.join(state_directory, "backup", target + ".json")


def metrics_path(state_directory: str, stack: str, target: str) -> str:
    return os.path.join(metrics.directory(state_directory),
                        "%s_backup_%s.prom" % (metrics.prefix(stack), target))


def epoch(at: str) -> float:
    """A moment of the state, in epoch seconds."""
    return float(calendar.timegm(time.strptime(at, _TIME)))


def load(state_directory: str, target: str) -> Tuple[State, List[Finding]]:
    """The state, and what is wrong with its file. Changes nothing; what was never recorded is not in it."""
    file = path(state_directory, target)
    try:
        return _read(file), []
    except _Damaged:
        return {}, [RULES["backup-state"].finding("damaged", target, path=file)]
    except OSError as problem:
        return {}, [RULES["backup-state"].unread(_said(problem), target, path=file)]


def damaged(state_directory: str, target: str) -> Optional[str]:
    """The file that a damaged state was set aside in, while it lies there: what it knew of proofs is not known."""
    return next(iter(sorted(glob.glob(glob.escape(path(state_directory, target)) + ".damaged*"))), None)


def record_attempt(state_directory: str, target: str, at: float) -> List[Finding]:
    def change(state: State) -> None:
        state["last_attempt"] = {"at": _moment(at)}

    return _record(state_directory, target, change)


def record_success(state_directory: str, target: str, at: float, manifest: Mapping[str, Any]) -> List[Finding]:
    """A good backup is there; ``manifest`` is its own."""
    def change(state: State) -> None:
        state.update(last_result="success", suspect=False, last_success={
            "name": manifest["name"], "at": _moment(at), "seconds": manifest["seconds"],
            "size": sum(file["size"] for file in manifest["files"]),
            "raw_size": sum(file["raw_size"] for file in manifest["files"]),
            "count": sum(manifest["counts"].values()),
        })

    return _record(state_directory, target, change)


def record_failure(state_directory: str, target: str, at: float, found: Iterable[Finding],
                   suspect: bool = False) -> List[Finding]:
    """No good backup came of it. ``suspect`` says that one was taken that does not fit its history."""
    wrong = problems(found)

    def change(state: State) -> None:
        state.update(last_result="failure", suspect=suspect or state.get("suspect", False), last_failure={
            "at": _moment(at), "findings": [finding.id for finding in wrong],
            "text": {lang: "\n".join(finding.line(lang) for finding in wrong) for lang in LANGUAGES},
        })

    return _record(state_directory, target, change)


def record_rehearsal(state_directory: str, target: str, at: float, name: str, ok: Optional[bool], seconds: float,
                     what: Text) -> List[Finding]:
    """``ok``: True, the backup is proven; False, it does not restore as it should; None, it could not be tried."""
    def change(state: State) -> None:
        state["last_rehearsal"] = {"name": name, "at": _moment(at), "ok": ok, "seconds": seconds,
                                   "what": what._asdict()}
        if ok:
            state["last_rehearsal_success"] = {"name": name, "at": _moment(at)}
        if ok is not None:
            others = [proof for proof in state.get("proven", []) if proof["name"] != name]
            state["proven"] = ([{"name": name, "at": _moment(at)}] if ok else []) + others[:_PROOFS_KEPT - 1]

    return _record(state_directory, target, change)


def newest_proven(state: Mapping[str, Any], backups: Iterable[Backup]) -> Optional[str]:
    """The name of the newest backup there is that a rehearsal has proven."""
    proven = {proof["name"] for proof in state.get("proven", [])}
    newest = max((backup for backup in backups if backup.name in proven), default=None,
                 key=lambda backup: (backup.taken_at, backup.name))
    return newest.name if newest else None


def write_metrics(state_directory: str, stack: str, target: str, backups: Sequence[Backup]) -> List[Finding]:
    """The state and what there is, for Prometheus. What never was has no series: 0 would be a moment in 1970."""
    file = metrics_path(state_directory, stack, target)
    try:
        with _locked(os.path.dirname(file), 0o755):
            state, found = load(state_directory, target)
            files.remove_leftovers(file)
            files.write(files.File(file, render_metrics(stack, target, state, backups), 0o644))
    except OSError as problem:
        return [RULES["backup-metrics"].finding("unwritten", target, path=file, error=_said(problem),
                                                directory=state_directory)]
    return found


def render_metrics(stack: str, target: str, state: Mapping[str, Any], backups: Sequence[Backup]) -> str:
    """The text of the metrics file."""
    def at(section: str) -> Optional[float]:
        return epoch(state[section]["at"]) if section in state else None

    def of(section: str, key: str) -> Optional[float]:
        return state[section][key] if section in state else None

    good = [backup.taken_at for backup in backups if backup.kind != "safety" and backup_store.is_good(backup)]
    result = {"success": 1, "failure": 0}.get(state.get("last_result", ""))
    rehearsed = state["last_rehearsal"]["ok"] is True if "last_rehearsal" in state else None
    single = (
        ("last_attempt_timestamp_seconds", "When a backup was last begun.", at("last_attempt")),
        ("last_success_timestamp_seconds", "When a backup last succeeded.", at("last_success")),
        ("last_success_size_bytes", "Size of the last backup that succeeded.", of("last_success", "size")),
        ("last_success_duration_seconds", "How long it took.", of("last_success", "seconds")),
        ("last_result", "Whether the last backup that came to an end succeeded.", result),
        ("suspect", "Whether a backup since the last success does not fit its history.",
         state.get("suspect", False)),
        ("rehearsal_last_timestamp_seconds", "When a restore was last rehearsed.", at("last_rehearsal")),
        ("rehearsal_last_success_timestamp_seconds", "When a rehearsal last succeeded.",
         at("last_rehearsal_success")),
        ("rehearsal_last_result", "Whether the last rehearsal succeeded.", rehearsed),
        ("oldest_timestamp_seconds", "When the oldest good backup was taken.", min(good, default=None)),
        ("newest_timestamp_seconds", "When the newest good backup was taken.", max(good, default=None)),
    )
    kinds: List[Tuple[Dict[str, str], Optional[float]]] = [
        ({"target": target, "kind": kind}, sum(backup.kind == kind for backup in backups))
        for kind in backup_store.KINDS]
    named = [(name, words, [({"target": target}, value)]) for name, words, value in single]
    named.append(("backups", "Backups that there are, good or not.", kinds))
    word = metrics.prefix(stack)
    return metrics.render(metrics.Metric("%s_backup_%s" % (word, name), words, values)
                          for name, words, values in named)


def ping_url(env_values: Mapping[str, str], target: str) -> Optional[str]:
    """The address of a target's watchdog, a secret, or None where there is none."""
    key = "BACKUP_PING_URL_" + target.upper().replace("-", "_")
    return env_values.get(key, "").strip() or None


def ping(url: str, event: str, timeout: float = 10.0) -> Optional[Finding]:
    """Tells a watchdog (healthchecks and what speaks its language) of a start, success or failure.

    Never raises. Why it could not be delivered is said in words of our own: those of the library show the address.
    """
    why = NOTHING
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        try:
            request = _ping_request(url, event)
            with _opener().open(request, timeout=timeout):
                return None
        except (OSError, http.client.HTTPException, ValueError) as problem:
            if isinstance(problem, urllib.error.HTTPError):
                problem.close()
            why = _why(problem).fill(seconds=timeout, code=getattr(problem, "code", ""), error=_said(problem))
    return RULES["backup-ping"].finding("undelivered", event=_EVENTS[event], why=why)


def _ping_request(url: str, event: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("no http or https address")
    address = parts._replace(path=parts.path.rstrip("/") + _PATHS[event], fragment="").geturl()
    return urllib.request.Request(address, headers={"User-Agent": "coinpilot-ops"})


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS and nothing else, wherever a redirect may point."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
                    urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler,
                    urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler):
        opener.add_handler(handler())
    return opener


def _why(problem: Exception) -> Text:
    if isinstance(problem, urllib.error.HTTPError):
        return _WHY["status"]
    reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
    if isinstance(reason, (socket.timeout, TimeoutError)):
        return _WHY["timeout"]
    if isinstance(reason, socket.gaierror):
        return _WHY["name"]
    if isinstance(reason, ssl.SSLError):
        return _WHY["certificate"]
    if isinstance(reason, OSError) and reason.errno:
        return _WHY["connection"]
    if isinstance(reason, http.client.HTTPException) and not isinstance(reason, http.client.InvalidURL):
        return _WHY["answer"]
    return _WHY["address"]


class _Damaged(Exception):
    """The state is no state."""


def _read(file: str) -> State:
    try:
        text = files.read_text(file, errors="strict")
        if text is None:
            return {}
        state = json.loads(text, parse_constant=_no_number)
        _check(state)
    except (ValueError, RecursionError) as problem:
        raise _Damaged() from problem
    return state


def _no_number(word: str) -> None:
    raise ValueError(word)


def _check(state: Any) -> None:
    """ValueError unless every part that is known has its shape: someone may have edited the file."""
    _require(isinstance(state, dict))
    for name, shape in _SECTIONS.items():
        if name in state:
            _check_section(state[name], shape)
    _require(state.get("last_result") in (None, "success", "failure"))
    _require(isinstance(state.get("suspect", False), bool))
    _require(isinstance(state.get("proven", []), list))
    for proof in state.get("proven", []):
        _check_section(proof, _PROOF)


def _check_section(section: Any, shape: Mapping[str, Any]) -> None:
    _require(isinstance(section, dict))
    for key, kind in shape.items():
        if kind == _TIME:
            _require(isinstance(section.get(key), str))
            epoch(section[key])
        else:
            _require(key in section and isinstance(section[key], kind))


def _require(right: bool) -> None:
    if not right:
        raise ValueError("not as it is written")


def _record(state_directory: str, target: str, change: Callable[[State], None]) -> List[Finding]:
    file = path(state_directory, target)
    found: List[Finding] = []
    try:
        with _locked(os.path.dirname(file), 0o700):
            try:
                state = _read(file)
            except _Damaged:
                state = {}
                found.append(RULES["backup-state"].finding("set-aside", target, path=_set_aside(file)))
            change(state)
            # Text of other programs may hold half a character, which no reader of the file should stumble over.
            text = json.dumps({"format": 1, "target": target, **state}, ensure_ascii=False, indent=2) + "\n"
            files.remove_leftovers(file)
            files.write(files.File(file, text.encode("utf-8", "replace").decode("utf-8"), 0o600))
    except OSError as problem:
        found.append(RULES["backup-state"].finding("unwritten", target, path=file, error=_said(problem),
                                                   directory=state_directory))
    return found


def _set_aside(file: str) -> str:
    aside, number = file + ".damaged", 1
    while os.path.lexists(aside):
        number += 1
        aside = "%s.damaged.%d" % (file, number)
    os.rename(file, aside)
    return aside


@contextlib.contextmanager
def _locked(directory: str, mode: int) -> Iterator[None]:
    """One writer at a time in a directory, which is made where it is missing: a rehearsal and a backup may overlap."""
    if not os.path.isdir(os.path.dirname(directory)):
        files.make_directory(os.path.dirname(directory), 0o700)
    files.make_directory(directory, mode)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _moment(at: float) -> str:
    return time.strftime(_TIME, time.gmtime(at))


def _said(problem: BaseException) -> str:
    """What the system says, without names and addresses."""
    number = getattr(getattr(problem, "reason", problem), "errno", None)
    return os.strerror(number) if isinstance(number, int) else type(problem).__name__
