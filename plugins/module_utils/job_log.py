# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The log file of a job, for who looks later what happened at night. Nothing about it ever stops the job."""

from __future__ import annotations

import os
import pwd
import stat
import time
import traceback
from typing import Callable, List, Optional

from .findings import UNKNOWN, WARN, Case, Finding, Rule, Text, render_text, table

# Says to a person who waits what is going on.
Tell = Callable[[Text], None]

RULES = table(
    Rule("job-log", Text("log", "로그"), Text("{path} can be written", "{path}에 쓸 수 있음"), {
        "not-written": Case(WARN, Text("could not be written: {error}", "쓰지 못함: {error}"),
                            Text("the job itself was done; look at: ls -ld {directory}; df -h {directory}",
                                 "작업은 수행되었습니다. 확인: ls -ld {directory}; df -h {directory}")),
    }),
    Rule("command", Text("command", "명령"), Text("it ends by itself", "스스로 끝남"), {
        "stopped": Case(UNKNOWN, Text("stopped by an error of its own: {error}", "자체 오류로 중단됨: {error}"),
                        Text("report it, with the end of {log}", "{log}의 끝부분과 함께 알려 주세요")),
        "unlogged": Case(UNKNOWN, Text("stopped by an error of its own: {error}", "자체 오류로 중단됨: {error}"),
                         Text("report it; {log} could not be written: {why}",
                              "이 내용을 알려 주세요. {log}에는 쓰지 못했습니다: {why}")),
    }),
)


class JobLog:
    """Lines with the time before them, appended to a file. ``error`` says why the last one could not be written."""

    def __init__(self, directory: str, name: str, owner: str):
        self.directory = directory
        self.path = os.path.join(directory, name)
        self.owner = owner
        self.error: Optional[str] = None

    def write(self, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        lines = "".join("%s %s\n" % (now, line) for line in text.splitlines())
        try:
            self._make_directory()
            self._append(lines.encode("utf-8", "backslashreplace"))
        except OSError as problem:
            self.error = problem.strerror or str(problem)

    def _make_directory(self) -> None:
        """Makes it as the deploy does, for the person who reads there without sudo."""
        try:
            status = os.lstat(self.directory)
        except FileNotFoundError:
            os.makedirs(self.directory, mode=0o750)
            try:
                entry = pwd.getpwnam(self.owner)
            except KeyError:
                return
            if os.geteuid() == 0:
                os.chown(self.directory, entry.pw_uid, entry.pw_gid)
        else:
            # Who made the link says where root writes.
            if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.geteuid()):
                raise OSError("%s is a link that root did not make" % self.directory)

    def _append(self, data: bytes) -> None:
        # The directory is the operator's. A link or a pipe that lies there under the log's name is not written to.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o644)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise OSError("%s is no plain file" % self.path)
            while data:
                data = data[os.write(descriptor, data):]
        finally:
            os.close(descriptor)


def do(job: Callable[[Tell], List[Finding]], log: JobLog, subject: str, line: str, lang: str,
       show: Callable[[str], None] = lambda text: None) -> List[Finding]:
    """Does a job and appends to a log what it finds, even that it broke. A log that fails is only a warning.

    ``line`` is what was called; ``show`` gets what the job tells meanwhile.
    """
    def tell(text: Text) -> None:
        log.write(text.get(lang))
        show(text.get(lang))

    log.write(line)
    try:
        found = job(tell)
        log.write(render_text(found, lang))
    except Exception as problem:
        found = [stopped(problem, subject, log)]
    except BaseException:
        log.write("stopped from outside before its end")
        raise
    if log.error:
        found = found + [RULES["job-log"].finding("not-written", path=log.path, directory=log.directory,
                                                  error=log.error)]
    return found


def stopped(problem: Exception, subject: str, log: JobLog) -> Finding:
    """What an error that nobody thought of is to a person; all of it goes into the log."""
    log.write("".join(traceback.format_exception(type(problem), problem, problem.__traceback__)))
    said = (str(problem).strip().splitlines() or [""])[0]
    error = "%s: %s" % (type(problem).__name__, said) if said else type(problem).__name__
    return RULES["command"].finding("unlogged" if log.error else "stopped", subject, error=error, log=log.path,
                                    why=log.error)
