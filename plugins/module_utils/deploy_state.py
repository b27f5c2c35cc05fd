# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the last deploy that passed its gate put in force, as it is kept on the host, and whether one is at work."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional

from . import files
from .findings import PASS, WARN, Case, Rule, Text, table

RULES = table(
    Rule("deploy-at-work", Text("deploy", "배포"), Text("none is at work", "진행 중인 배포 없음"), {
        "skipped": Case(PASS, Text("one is at work: what is due runs after it",
                                   "배포가 진행 중: 끝난 뒤에 예정된 점검을 실행")),
        "judged": Case(WARN, Text("one was still at work after {minutes} minutes: what it changes may look broken",
                                  "{minutes}분을 기다려도 배포가 끝나지 않음: 배포 중인 항목이 실패로 보일 수 있음"),
                       Text("what does it do? sudo tail {log}; when it is over: sudo coinpilot-ops verify --record",
                            "배포 로그 확인: sudo tail {log}; 끝난 뒤 다시 실행: sudo coinpilot-ops verify --record")),
    }),
)


class Good(NamedTuple):
    """The text of the two files, and the id of the image that each reference stood for."""

    compose: str
    env: str
    images: Dict[str, str]


def directory(description: Mapping[str, Any]) -> str:
    return os.path.join(description["state_directory"], "deploy")


def path(description: Mapping[str, Any]) -> str:
    return os.path.join(directory(description), "good.json")


def lock_path(description: Mapping[str, Any]) -> str:
    return os.path.join(directory(description), "lock")


@contextlib.contextmanager
def undisturbed(description: Mapping[str, Any], wait: float = 0.0) -> Iterator[bool]:
    """For looking at the stack: a deploy that would begin meanwhile waits. False where one is still at work after so
    many seconds; nothing waits then."""
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(open(lock_path(description), encoding="ascii"))
        except OSError:
            # No deploy was ever here; and one that cannot open it ends with that.
            yield True
            return
        yield _locked(stream.fileno(), time.monotonic() + wait)


def _locked(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(1)


def read(description: Mapping[str, Any]) -> Optional[Good]:
    """None where nothing was deployed yet. OSError or ValueError where it cannot be read."""
    text = files.read_text(path(description))
    if text is None:
        return None
    state = json.loads(text)
    kinds = {"compose": str, "env": str, "images": dict}
    if not isinstance(state, dict) or not all(isinstance(state.get(key), kind) for key, kind in kinds.items()):
        # What it holds is secret: no part of it goes into the message.
        raise ValueError("it is not what a deploy writes")
    return Good(state["compose"], state["env"], state["images"])
