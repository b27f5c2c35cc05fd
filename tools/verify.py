#!/usr/bin/env python3
"""Runs playbooks/verify.yml with nobody at the keyboard: from cron, or from a systemd timer on WSL.

The page and the JSON of the newest run are in reports/; reports/runs/artifacts keeps what the last runs printed.
Discord is told one line when the verdict is another than the one it was told last, and when the run could not happen.

Exit status: 0 all is well, 1 something failed, 2 wrong usage, 3 could not be told, also when the run could not happen
or another one is at work.

The address of Discord's webhook is a secret. It goes into a file of its own, not onto a command line:

    install -m 600 /dev/null ~/.coinpilot-webhook
    nano ~/.coinpilot-webhook      # one line: https://discord.com/api/webhooks/…

cron (crontab -e), each morning at 07:10:

    10 7 * * *  cd ~/coinpilot-ops && .venv/bin/python tools/verify.py --quiet --webhook-file ~/.coinpilot-webhook

systemd, ~/.config/systemd/user/coinpilot-verify.service:

    [Service]
    Type=oneshot
    WorkingDirectory=%h/coinpilot-ops
    ExecStart=%h/coinpilot-ops/.venv/bin/python tools/verify.py --quiet --webhook-file %h/.coinpilot-webhook

and coinpilot-verify.timer beside it, switched on by `systemctl --user enable --now coinpilot-verify.timer`; it makes up
for a morning on which this machine was off:

    [Timer]
    OnCalendar=07:10
    Persistent=true
    [Install]
    WantedBy=timers.target
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import json
import os
import shlex
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ansible_runner

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "collections"))
UTILS = "ansible_collections.coinpilot.ops.plugins.module_utils"
files = importlib.import_module(f"{UTILS}.files")
findings = importlib.import_module(f"{UTILS}.findings")
http_json = importlib.import_module(f"{UTILS}.http_json")

EXIT = {findings.PASS: 0, findings.WARN: 0, findings.FAIL: 1, findings.UNKNOWN: 3}
USAGE = 2
# What Discord is told when the run could not happen; no verdict is called so.
NOT_RUN = "NOT RUN"
WORDS = {**findings.STATUS_WORDS, NOT_RUN: findings.Text("NOT RUN", "실행 안 됨")}
LONGEST_RUN = 1800

TEXTS = {
    "not-run": findings.Text("The verification could not run: {said}", "점검을 실행하지 못했습니다: {said}"),
    "busy": findings.Text("another verification is at work; this one did nothing",
                          "다른 점검이 실행 중이어서 아무것도 하지 않았습니다"),
    "undelivered": findings.Text("Discord was not told ({why}); the next run tries again",
                                 "Discord에 알리지 못했습니다({why}). 다음 실행 때 다시 시도합니다"),
    "forgotten": findings.Text("{path} cannot be written ({error}): Discord will be told the same again",
                               "{path}에 쓸 수 없어({error}) 다음에도 Discord에 같은 내용을 알립니다"),
    "nothing": findings.Text("nothing before", "이전 기록 없음"),
    "open-file": findings.Text("{path} can be read by others: chmod 600 {path}",
                               "{path}을(를) 다른 사용자가 읽을 수 있습니다: chmod 600 {path}"),
    "no-url": findings.Text("{path} does not hold an address that begins with https:// or http://",
                            "{path}에 https:// 또는 http://로 시작하는 주소가 없습니다"),
    "unreadable": findings.Text("{path} cannot be read: {error}", "{path}을(를) 읽을 수 없습니다: {error}"),
    "no-room": findings.Text("{path} cannot be written: {error}", "{path}에 쓸 수 없습니다: {error}"),
}


class Outcome(NamedTuple):
    """What a run came to: a verdict or NOT_RUN, and that in one line."""

    status: str
    line: str


class Refused(Exception):
    """Wrong usage, in one line."""


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    lang = findings.language(given.lang)
    url = ""
    try:
        url = webhook(given.webhook_file, lang)
        with locked(given.directory, lang) as alone:
            if not alone:
                print(TEXTS["busy"].get(lang), file=sys.stderr)
                return EXIT[findings.UNKNOWN]
            outcome = attempted(given, lang)
            print(outcome.line, file=sys.stderr if outcome.status == NOT_RUN else sys.stdout)
            told(given.directory / "told.json", outcome, url, lang)
    except Refused as problem:
        print(f"{Path(sys.argv[0]).name}: {problem}", file=sys.stderr)
        # A disk that has become read-only is no usage of the person's.
        told(given.directory / "told.json", not_run(str(problem), lang), url, lang)
        return USAGE
    return EXIT.get(outcome.status, EXIT[findings.UNKNOWN])


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=CHECKOUT / "inventories/production/hosts.yml")
    parser.add_argument("--limit", help="only these hosts, as for ansible-playbook")
    parser.add_argument("--directory", type=Path, default=CHECKOUT / "reports", help="where the reports go")
    parser.add_argument("--webhook-file", type=Path, help="file, mode 0600, with the address of Discord's webhook")
    parser.add_argument("--keep", type=int, default=14, help="runs whose output is kept (14)")
    parser.add_argument("--lang", choices=findings.LANGUAGES)
    parser.add_argument("--quiet", action="store_true", help="only the verdict, not what Ansible prints")
    given = parser.parse_args(arguments)
    if given.keep < 1:
        parser.error("--keep must be 1 or more")
    given.directory = given.directory.resolve()
    if not given.inventory.exists():
        parser.error(f"there is no inventory {given.inventory}")
    return given


def webhook(path: Path | None, lang: str) -> str:
    """The address to tell, "" where nobody is to be told. It is a secret: whoever has it can post."""
    if path is None:
        return ""
    try:
        url = path.read_text(encoding="utf-8").strip()
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Refused(TEXTS["open-file"].fill(path=path).get(lang))
    except (OSError, UnicodeDecodeError) as problem:
        said = getattr(problem, "strerror", None) or type(problem).__name__
        raise Refused(TEXTS["unreadable"].fill(path=path, error=said).get(lang)) from problem
    if not url.startswith(("https://", "http://")) or len(url.split()) != 1:
        raise Refused(TEXTS["no-url"].fill(path=path).get(lang))
    return url


@contextlib.contextmanager
def locked(directory: Path, lang: str) -> Iterator[bool]:
    """Whether no other run is at work in this directory, which is made."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stream = open(directory / ".lock", "w", encoding="utf-8")
    except OSError as problem:
        raise Refused(TEXTS["no-room"].fill(path=directory, error=problem.strerror).get(lang)) from problem
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError as problem:
            raise Refused(TEXTS["no-room"].fill(path=directory, error=problem.strerror).get(lang)) from problem
        else:
            yield True


# The run -------------------------------------------------------------------------------------------------------------

def attempted(given: argparse.Namespace, lang: str) -> Outcome:
    """What a run came to. Whatever keeps it from happening is told as well: nobody is there to see a traceback."""
    try:
        return verified(given, lang)
    except Exception as problem:
        return not_run(http_json.masked(f"{type(problem).__name__}: {problem}"), lang)


def not_run(said: str, lang: str) -> Outcome:
    return Outcome(NOT_RUN, TEXTS["not-run"].fill(said=said).get(lang))


def verified(given: argparse.Namespace, lang: str) -> Outcome:
    """Runs the playbook, and says what its report says. Without a new report the run did not happen."""
    report, runs = given.directory / "verify.json", given.directory / "runs"
    runs.mkdir(mode=0o700, exist_ok=True)
    before = reported(report)
    run = ansible_runner.run(
        private_data_dir=str(runs), project_dir=str(CHECKOUT),
        playbook=str(CHECKOUT / "playbooks" / "verify.yml"), inventory=str(given.inventory.resolve()),
        limit=given.limit, cmdline=f"-e {shlex.quote(json.dumps({'verify_report_directory': str(given.directory)}))}",
        rotate_artifacts=given.keep, suppress_env_files=True, timeout=LONGEST_RUN, quiet=given.quiet,
        envvars={"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COINPILOT_LANG": lang,
                 # cron's is short, and knows nothing of this Python's programs.
                 "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"})
    # It holds the whole environment of whoever called this.
    (Path(run.config.artifact_dir) / "command").unlink(missing_ok=True)
    summary = reported(report)
    if not summary or summary.get("at") == before.get("at"):
        return not_run(last_line(run), lang)
    status = summary["status"] if run.rc == 0 or not summary["passed"] else findings.UNKNOWN
    return Outcome(status, " - ".join(part for part in (summary["verdict"][lang], worst_line(summary, lang)) if part))


def reported(report: Path) -> dict[str, Any]:
    """What the newest report says; nothing where there is none that can be read."""
    try:
        read = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def worst_line(summary: dict[str, Any], lang: str) -> str:
    """The first that is not well, with its host: what to look at first."""
    for host in summary["hosts"]:
        for item in host["items"]:
            for finding in item["findings"]:
                if finding["status"] != findings.PASS:
                    return f"{host['name']}: {item['title'][lang]}: {finding['seen'][lang]}"
    return ""


def last_line(run: ansible_runner.Runner) -> str:
    """What Ansible said last of what went wrong."""
    if run.status == "timeout":
        return f"{LONGEST_RUN} s"
    lines = [line.strip() for line in run.stdout.read().splitlines()]
    said = [line for line in lines if line.startswith(("ERROR", "[ERROR]", "fatal:", "msg:"))]
    return http_json.masked((said or [line for line in lines if line] or [str(run.status)])[-1])


# Discord -------------------------------------------------------------------------------------------------------------

def told(path: Path, outcome: Outcome, url: str, lang: str) -> None:
    """Tells Discord when this is another verdict than what it was told last, and keeps what it was told."""
    before = last_told(path)
    if not url or outcome.status == before:
        return
    was = TEXTS["nothing"] if before is None else WORDS.get(before, findings.Text(before, before))
    words = f"{outcome.line} [{was.get(lang)} → {WORDS[outcome.status].get(lang)}]"
    try:
        answer = http_json.ask(url, {"content": words[:1900], "allowed_mentions": {"parse": []}})
        why = "" if answer.status < 300 else f"HTTP {answer.status}"
    except http_json.HttpError as problem:
        why = problem.case
    if why:
        print(TEXTS["undelivered"].fill(why=why).get(lang), file=sys.stderr)
        return
    try:
        files.write(files.File(str(path), json.dumps({"status": outcome.status, "at": time.time()}) + "\n", 0o600))
    except OSError as problem:
        print(TEXTS["forgotten"].fill(path=path, error=problem.strerror).get(lang), file=sys.stderr)


def last_told(path: Path) -> str | None:
    """None when Discord was told nothing yet, or what was kept of it cannot be read: then it is told again."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


if __name__ == "__main__":
    sys.exit(main())
