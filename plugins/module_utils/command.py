# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""The host's own command, coinpilot-ops: the checks and jobs with no Ansible at hand.

A sub-command is one line of COMMANDS: what it is for, a function that declares its arguments, and a function that
does it. What it needs is imported in there: the command starts in no time whatever the others need.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import re
import signal
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, TextIO

from . import findings, job_log
from .findings import NOTHING, Finding, Text, render_text
from .job_log import JobLog, Tell

PROGRAM = "coinpilot-ops"
DESCRIPTION = "/etc/coinpilot/stack.json"
WRONG_USAGE, COULD_NOT_TELL = 2, 3
# What every sub-command may rely on in the description.
NEEDED = ("name", "project", "directory", "compose_file", "unit", "owner", "state_directory", "log_directory",
          "backup_directory", "services", "backup", "required_keys", "checklist")

# That the check to be recorded waits for a deploy to end.
_DEPLOY_SECONDS = 600.0

Description = Mapping[str, Any]
Add = Callable[..., Any]
# Does something to a target.
Job = Callable[[str, Tell], List[Finding]]

MESSAGES = {
    "help": Text("{said}; help: {program} --help", "{said}. 도움말: {program} --help"),
    "no-command": Text("say what to do: {known}; help: {program} --help",
                       "할 일을 지정하세요: {known}. 도움말: {program} --help"),
    "root": Text("this needs root: sudo {command}", "root 권한이 필요합니다: sudo {command}"),
    "no-description": Text("{path} is not there: deploy first, on your PC: ansible-playbook site.yml",
                           "{path} 파일이 없습니다. 먼저 PC에서 배포하세요: ansible-playbook site.yml"),
    "bad-description": Text("{path} cannot be used ({why}): deploy again, on your PC: "
                            "ansible-playbook site.yml",
                            "{path} 파일을 쓸 수 없습니다({why}). PC에서 다시 배포하세요: "
                            "ansible-playbook site.yml"),
    "target": Text("unknown target '{target}'; known: {known}",
                   "알 수 없는 백업 대상 '{target}'. 가능한 대상: {known}"),
    "argument": Text("{name} goes with 'offsite {action}' only", "{name}은(는) 'offsite {action}'에만 쓸 수 있습니다"),
    "one-target": Text("--name goes with one target: coinpilot-ops restore-rehearsal TARGET --name NAME",
                       "--name은 대상 하나와 함께 쓰세요: coinpilot-ops restore-rehearsal 대상 --name 이름"),
    "one-env": Text("name the .env once: coinpilot-ops preflight ENV_FILE",
                    ".env 파일은 한 번만 지정하세요: coinpilot-ops preflight ENV_FILE"),
    "record-all": Text("--record keeps the result of all items: leave out --only",
                       "--record는 전체 항목의 결과를 기록합니다. --only를 빼세요"),
    "reason": Text("say what was changed: coinpilot-ops watch arm --reason TEXT; --reason goes with 'arm' only",
                   "무엇을 바꾸었는지 쓰세요: coinpilot-ops watch arm --reason 내용. --reason은 'arm'에만 씁니다"),
    "confirm": Text("To go on, type this host's name", "계속하려면 이 호스트의 이름을 입력하세요"),
    "output": Text("{path} cannot be written: {error}", "{path}에 쓸 수 없습니다: {error}"),
    "output-kind": Text("{path} is no plain file: name another one for --output",
                        "{path}은(는) 일반 파일이 아닙니다. --output에 다른 파일을 지정하세요"),
    "not-shown": Text("the report could not be shown: {error}", "결과를 출력하지 못했습니다: {error}"),
}
# What argparse says, and the same in Korean; what is not listed is shown as argparse says it.
_USAGE = tuple((re.compile(pattern), korean) for pattern, korean in (
    (r"unrecognized arguments: (?P<given>.*)", "알 수 없는 인자: {given}"),
    (r"argument (?P<name>\S+): expected .*", "{name}에는 값이 필요합니다"),
    (r"argument (?P<name>\S+): invalid choice: (?P<given>.*) \(choose from (?P<known>.*)\).*",
     "{name}: 알 수 없는 값 {given}. 가능한 값: {known}"),
    (r"argument (?P<name>\S+): give whole seconds, .*", "{name}: 1 이상의 초를 지정하세요"),
    (r"argument (?P<name>\S+): not allowed with argument (?P<other>.*)", "{name}와(과) {other}는 함께 쓸 수 없습니다"),
    (r"argument (?P<name>\S+): ignored explicit argument (?P<given>.*)", "{name}에는 값을 줄 수 없습니다: {given}"),
    (r"the following arguments are required: (?P<name>.*)", "빠진 인자: {name}"),
))


class WrongUsage(Exception):
    """The command was called in a way that makes no sense: one line, exit code 2."""

    def __init__(self, text: Text):
        super().__init__(text.en)
        self.text = text


class Report(NamedTuple):
    """How a sub-command ended. ``text`` is shown after the findings, ``data`` goes into the JSON beside them.
    ``listing`` makes the text of the findings where the usual one, with a line for all that passed, would be long."""

    findings: List[Finding]
    text: Text = NOTHING
    data: Mapping[str, Any] = {}
    listing: Callable[[Sequence[Finding], str], str] = render_text


def _never(options: argparse.Namespace) -> bool:
    return False


class SubCommand(NamedTuple):
    """``alone`` says when it needs neither root nor the description. ``closing`` is the last line, on every path: of
    the findings, or of None where it did not get that far."""

    purpose: Text
    arguments: Callable[[Add], None]
    run: Callable[[argparse.Namespace, Description], Report]
    alone: Callable[[argparse.Namespace], bool] = _never
    closing: Optional[Callable[[Optional[List[Finding]]], str]] = None


# The sub-commands ----------------------------------------------------------------------------------------------------

def _verify_arguments(add: Add) -> None:
    add("--record", action="store_true",
        help=Text("leave the result for Prometheus and in the history, as the daily timer does",
                  "매일 타이머처럼 결과를 Prometheus용으로, 또 이력에 기록"))
    _only_argument(add)


def _verify(options: argparse.Namespace, description: Description) -> Report:
    from . import deploy_state

    if not options.record:
        return _checked(options, description, "daily")
    if options.only:
        raise WrongUsage(MESSAGES["record-all"])
    log = os.path.join(description["log_directory"], "deploy.log")
    with deploy_state.undisturbed(description, _DEPLOY_SECONDS) as quiet:
        said = [] if quiet else [deploy_state.RULES["deploy-at-work"].finding(
            "judged", minutes=int(_DEPLOY_SECONDS // 60), log=log)]
        return _recorded(options, description, said)


def _recorded(options: argparse.Namespace, description: Description, said: List[Finding]) -> Report:
    """The daily check, with what is to be said of it besides, kept for later."""
    from . import verify_metrics, watch

    begin = time.time()
    report = _checked(options, description, "daily")
    entry = watch.entry("daily", report.findings + said,
                        {item["id"]: item["status"] for item in report.data["items"]}, begin, time.time() - begin)
    said = said + verify_metrics.write(description, report.findings, begin) + watch.record(description, entry)
    text = Text(*("".join(finding.line(lang) + "\n" for finding in said) for lang in findings.LANGUAGES))
    return report._replace(findings=report.findings + said, text=text)


def _check_arguments(add: Add) -> None:
    add("checkpoint", metavar="CHECKPOINT",
        help=Text("all, daily, weekly, or after a change t0, t1h, t6h, t12h, t24h",
                  "all, daily, weekly 또는 변경 후 t0, t1h, t6h, t12h, t24h"))
    _only_argument(add)
    add("--output", metavar="FILE", default="",
        help=Text("write the report to this file as well", "결과를 이 파일에도 기록"))


def _check(options: argparse.Namespace, description: Description) -> Report:
    path = _output_path(options.output) if options.output else ""
    report = _checked(options, description, options.checkpoint)
    if path:
        from . import files

        try:
            files.write(files.File(path, _shown(report, options), 0o644))
        except OSError as problem:
            raise WrongUsage(MESSAGES["output"].fill(path=path, error=problem.strerror or str(problem))) from problem
    return report


def _output_path(given: str) -> str:
    """Where the report goes. It is tried before anything is looked at; what is no plain file is not replaced."""
    path = os.path.realpath(given)
    try:
        if os.path.lexists(path) and not os.path.isfile(path):
            raise WrongUsage(MESSAGES["output-kind"].fill(path=given))
        tempfile.TemporaryFile(dir=os.path.dirname(path)).close()
    except (OSError, ValueError) as problem:
        error = getattr(problem, "strerror", None) or str(problem)
        raise WrongUsage(MESSAGES["output"].fill(path=given, error=error)) from problem
    return path


def _only_argument(add: Add) -> None:
    add("--only", nargs="+", action="extend", default=[], metavar="ITEM",
        help=Text("these items of the checklist only", "점검 목록 중 이 항목만"))


def _checked(options: argparse.Namespace, description: Description, checkpoint: str) -> Report:
    from . import checklist

    try:
        results = checklist.run(description, checkpoint, options.only)
    except checklist.UnknownName as problem:
        raise WrongUsage(problem.text) from problem
    return Report(checklist.found(results), data={"checkpoint": checkpoint, "items": checklist.as_dict(results)},
                  listing=lambda found, lang: checklist.render(results, lang))


def _nothing(add: Add) -> None:
    """For a sub-command with no arguments of its own."""


def _status(options: argparse.Namespace, description: Description) -> Report:
    from . import watch_status

    now = time.time()
    world = watch_status.gather(description, now)
    for problem in world.problems:
        if problem.id == "watch-history":
            raise WrongUsage(Text(problem.line("en"), problem.line("ko")))
    return Report(watch_status.judge(world, description, now), listing=watch_status.render)


def _watch_arguments(add: Add) -> None:
    add("action", choices=("arm", "run"), metavar="ACTION",
        help=Text("arm: begin the 24 hours now; run: run what is due, as the timer does",
                  "arm 24시간 감시를 지금 시작, run 타이머처럼 예정된 점검 실행"))
    add("--reason", metavar="TEXT", default="",
        help=Text("arm: what was changed", "arm: 무엇을 바꾸었는지"))


def _watch(options: argparse.Namespace, description: Description) -> Report:
    from . import watch, watch_run
    from .engine import Engine

    if (options.action == "arm") != bool(options.reason.strip()):
        raise WrongUsage(MESSAGES["reason"])
    if options.action == "arm":
        begun = watch.begin(description, watch.by_hand(options.reason), Engine(), anew=True)
        # Here it is all that was asked for.
        return Report([begun if begun.status == findings.PASS else begun._replace(status=findings.FAIL)])
    found = watch_run.run(description)
    # The timer calls each minute: where there is nothing to say, the journal is spared.
    return Report(found or [watch_run.nothing_due()], listing=render_text if found else lambda _found, _lang: "")


def _monitoring_arguments(add: Add) -> None:
    add("--window", metavar="TIME", default="1h",
        help=Text("how far back the targets are looked at, e.g. 24h (default: 1h)",
                  "타깃을 얼마나 거슬러 볼지. 예: 24h(기본: 1h)"))
    add("--prove", action="store_true",
        help=Text("send test messages to Discord, by Grafana and through each webhook",
                  "Grafana와 각 webhook을 통해 Discord로 테스트 메시지를 보냄"))


def _monitoring(options: argparse.Namespace, description: Description) -> Report:
    from . import alert_state, n8n_probe, n8n_webhooks, notification, notification_test, targets
    from .engine import Engine

    try:
        window = targets.window_seconds(options.window)
    except ValueError as problem:
        raise WrongUsage(Text(str(problem), "--window에는 30m, 1h, 24h 같은 시간을 쓰세요")) from problem
    found = targets.judge(targets.gather(description, window), description)
    found += alert_state.judge(alert_state.gather(description, Engine()), description)
    contact_point = notification.gather(description)
    found += notification.judge(contact_point, description)
    webhooks = n8n_webhooks.gather(description)
    if options.prove:
        found.append(notification_test.send(contact_point, description))
        found += n8n_probe.run(description, webhooks)
        # With the calls just made among them: what failed before and does no more is mended.
        webhooks = n8n_webhooks.gather(description)
    return Report(found + n8n_webhooks.judge(webhooks, description))


def _backup_arguments(add: Add) -> None:
    _targets_argument(add)
    add("--dry-run", action="store_true",
        help=Text("say what would be done and deleted, and change nothing",
                  "무엇을 하고 지울지만 표시하고 바꾸지 않음"))
    add("--accept-change", action="store_true",
        help=Text("another database, or a much smaller one, is right: compare with this one from now on",
                  "DB가 바뀌었거나 크게 줄어든 것이 맞음: 앞으로는 이 백업과 비교"))


def _backup(options: argparse.Namespace, description: Description) -> Report:
    from . import backup

    return _each_target(options, description, lambda target, tell: backup.run(
        description, target, dry_run=options.dry_run, accept_change=options.accept_change, tell=tell))


def _checksum_arguments(add: Add) -> None:
    _targets_argument(add)
    add("--path", metavar="DIR", default="",
        help=Text("another directory that holds backups, e.g. a copy", "다른 백업 디렉터리(예: 복사본)"))


def _checksum(options: argparse.Namespace, description: Description) -> Report:
    from . import backup_checksum
    from .backup_errors import BackupError

    root = options.path or description["backup_directory"]
    # A target that has no backup yet has no directory either.
    expected = () if options.path else _targets(options, description)
    try:
        world = backup_checksum.gather(root, description["name"], options.targets or None, progress=_progress(),
                                       expected=expected)
    except BackupError as error:
        refused = backup_checksum.refusal(error)
        if options.path:
            raise WrongUsage(Text(refused.line("en"), refused.line("ko"))) from error
        return Report([refused])
    result = backup_checksum.judge(world)
    return Report(result.findings, data={"files": result.entries, "totals": result.totals})


def _rehearsal_arguments(add: Add) -> None:
    _targets_argument(add)
    add("--name", metavar="NAME", default="",
        help=Text("this backup instead of the newest good one", "최신 정상 백업 대신 이 백업"))
    _from_argument(add)


def _rehearsal(options: argparse.Namespace, description: Description) -> Report:
    from . import backup_rehearsal

    if options.name and len(_targets(options, description)) != 1:
        raise WrongUsage(MESSAGES["one-target"])
    return _each_target(options, description, lambda target, tell: backup_rehearsal.run(
        description, target, options.name, options.root, tell))


def _restore_arguments(add: Add) -> None:
    add("target", metavar="TARGET", help=Text("what is to be restored, e.g. postgres", "복구 대상. 예: postgres"))
    add("name", nargs="?", metavar="NAME", default="",
        help=Text("the backup's name; without one, those there are get listed", "백업 이름. 생략하면 목록만 표시"))
    _from_argument(add)
    add("--confirm", metavar="HOST", help=Text("this host's name, instead of being asked for it",
                                               "묻지 않고 진행하려면 이 호스트의 이름"))
    add("--from-host", metavar="HOST", default="",
        help=Text("the host, now lost, whose backup it is", "이 백업을 만든, 지금은 없는 호스트의 이름"))
    add("--accept-suspect", action="store_true",
        help=Text("restore even a suspect backup", "의심 표시된 백업이라도 복구"))
    add("--without-safety-backup", action="store_true",
        help=Text("do not back up what is there now", "지금 있는 데이터를 백업하지 않음"))


def _restore(options: argparse.Namespace, description: Description) -> Report:
    from . import backup_restore

    options.targets = [options.target]
    _targets(options, description)
    if not options.name:
        found, text, rows = backup_restore.listing(description, options.target, options.root)
        return Report(found, text, {"backups": [row._asdict() for row in rows]})
    wish = backup_restore.Wish(options.target, options.name, options.root, options.from_host, options.accept_suspect,
                               options.without_safety_backup)
    return _each_target(options, description, lambda target, tell: backup_restore.run(
        description, wish, lambda text: _confirmed(text, options), tell))


def _confirmed(text: Text, options: argparse.Namespace) -> str:
    """The host's name as --confirm or a person says it, who is shown what is going to happen."""
    if options.confirm is not None:
        return str(options.confirm)
    if sys.stdin is None or not sys.stdin.isatty():
        return ""
    _write(sys.stderr, "%s\n%s: " % (text.get(options.lang), MESSAGES["confirm"].get(options.lang)))
    return sys.stdin.readline()


def _from_argument(add: Add) -> None:
    add("--from", dest="root", metavar="DIR", default="",
        help=Text("another directory that holds backups, e.g. one fetched from off-site",
                  "다른 백업 디렉터리(예: 외부에서 되가져온 것)"))


def _backups(options: argparse.Namespace, description: Description) -> Report:
    from . import backup_list

    rows, found = backup_list.rows(description, _targets(options, description))
    return Report(found, backup_list.render(rows), {"backups": [row._asdict() for row in rows]})


def _offsite_arguments(add: Add) -> None:
    add("action", choices=("copy", "check", "list", "fetch"), metavar="ACTION",
        help=Text("copy: copy the backups; check: prove the copy; list: list the snapshots; fetch: bring one back",
                  "copy 백업 복사, check 사본 점검, list 스냅샷 목록, fetch 되가져오기"))
    add("--read-all", action="store_true",
        help=Text("check: read everything back, not a part of it", "check: 일부가 아니라 전체를 다시 읽음"))
    add("--snapshot", metavar="ID",
        help=Text("fetch: this snapshot instead of the newest", "fetch: 최신 대신 이 스냅샷"))
    add("--directory", metavar="DIR",
        help=Text("fetch: to this new directory instead of one beside the backups",
                  "fetch: 백업 옆 대신 이 새 디렉터리로"))


def _offsite(options: argparse.Namespace, description: Description) -> Report:
    for name, action in (("read_all", "check"), ("snapshot", "fetch"), ("directory", "fetch")):
        if getattr(options, name) and options.action != action:
            raise WrongUsage(MESSAGES["argument"].fill(name="--" + name.replace("_", "-"), action=action))
    from . import dotenv, files, offsite

    values = dotenv.parse(files.read_text(os.path.join(description["directory"], ".env")) or "")
    if options.action == "list":
        listed, found = offsite.snapshots(description, values)
        return Report(found, offsite.render(listed), {"snapshots": [snapshot._asdict() for snapshot in listed]})
    jobs: Dict[str, Callable[[Tell], List[Finding]]] = {
        "copy": lambda tell: offsite.copy(description, values, tell),
        "check": lambda tell: offsite.check(description, values, options.read_all),
        "fetch": lambda tell: offsite.fetch(description, values, options.snapshot or "latest", options.directory),
    }
    return Report(_logged(options, description, "offsite " + options.action, "offsite.log", jobs[options.action]))


def _preflight_arguments(add: Add) -> None:
    add("env", nargs="?", metavar="ENV_FILE", default="",
        help=Text("the same as --env-file", "--env-file과 같음"))
    add("--compose", metavar="FILE", action="append", default=[],
        help=Text("judge this project instead of the host; again for each file that overrides it",
                  "호스트 대신 이 프로젝트를 점검. 덮어쓰는 파일마다 반복"))
    add("--env-file", metavar="FILE", default="",
        help=Text("its .env (default: the one beside the compose file)", ".env 파일(기본: compose 파일 옆의 .env)"))
    add("--workflows", metavar="DIR", default="",
        help=Text("exported n8n workflows, judged as well", "내보낸 n8n 워크플로 디렉터리도 점검"))
    add("--policy", metavar="FILE", default="",
        help=Text("public ports and waivers, as JSON (default: those of the stack)",
                  "공개 포트와 면제를 담은 JSON(기본: 스택의 설정)"))


def _preflight(options: argparse.Namespace, description: Description) -> Report:
    from . import preflight, preflight_policy, preflight_verdict

    if options.env and options.env_file:
        raise WrongUsage(MESSAGES["one-env"])
    env_file = options.env or options.env_file
    policy = description.get("security", preflight_policy.NONE)
    name = options.policy or preflight_policy.VARIABLE
    unread: List[Finding] = []
    if options.policy:
        policy, unread = preflight_policy.load(options.policy)
    if options.compose:
        wish = preflight.Wish(options.compose, env_file or os.path.join(os.path.dirname(options.compose[0]), ".env"),
                              options.workflows, policy, name)
    else:
        wish = preflight.of_host(description, env_file, options.workflows)._replace(policy=policy, policy_name=name)
    found = preflight.run(wish, unread)
    return Report(found, data={"result": preflight_verdict.conclusion(found)}, listing=preflight_verdict.render_text)


def _preflight_conclusion(found: Optional[List[Finding]]) -> str:
    from . import preflight_verdict

    return preflight_verdict.conclusion(found)


def _metrics_arguments(add: Add) -> None:
    add("--every", type=_seconds, metavar="SECONDS",
        help=Text("again and again, until this command or the description is replaced; without it, once",
                  "이 명령이나 스택 설명이 바뀔 때까지 반복. 생략하면 한 번"))


def _seconds(text: str) -> int:
    if not re.match(r"[1-9][0-9]{0,4}\Z", text):
        raise argparse.ArgumentTypeError("give whole seconds, from 1 on")
    return int(text)


def _metrics(options: argparse.Namespace, description: Description) -> Report:
    from . import host_metrics

    outdated = host_metrics.watch(options.description, os.path.abspath(sys.argv[0]))
    return Report([host_metrics.run(description, options.every, outdated=outdated)])


def _targets_argument(add: Add) -> None:
    add("targets", nargs="*", metavar="TARGET",
        help=Text("what is meant, e.g. postgres (all when none is named)", "백업 대상. 예: postgres(생략하면 전체)"))


COMMANDS: Dict[str, SubCommand] = {
    "verify": SubCommand(Text("is the stack as described, and healthy?", "스택이 설명대로이고 정상인지 점검"),
                         _verify_arguments, _verify),
    "check": SubCommand(Text("the checklist of a moment: all, each day, each week, or hours after a change",
                             "점검 목록: 전체, 매일, 매주 또는 변경 후 시각별"), _check_arguments, _check),
    "status": SubCommand(Text("how things stand: the 24-hour watch, the daily verification, the backups",
                              "현재 상태: 24시간 감시, 일일 점검, 백업"), _nothing, _status),
    "watch": SubCommand(Text("the 24-hour watch after a change", "변경 후 24시간 감시"), _watch_arguments, _watch),
    "monitoring": SubCommand(Text("targets, alert rules, contact point, webhooks: does monitoring work?",
                                  "타깃, 알림 규칙, 연락처, webhook이 제대로 동작하는지 점검"),
                             _monitoring_arguments, _monitoring),
    "preflight": SubCommand(Text("is it safe: the compose file, .env, the n8n workflows, what runs?",
                                 "compose 파일, .env, n8n 워크플로, 실행 중인 것이 안전한지 점검"),
                            _preflight_arguments, _preflight, alone=lambda options: bool(options.compose),
                            closing=_preflight_conclusion),
    "backup": SubCommand(Text("take a backup now", "지금 백업"), _backup_arguments, _backup),
    "checksum": SubCommand(Text("is every backup file as it was written?", "백업 파일이 기록될 때 그대로인지 검증"),
                           _checksum_arguments, _checksum),
    "backups": SubCommand(Text("list the backups there are", "백업 목록 표시"), _targets_argument, _backups),
    "restore-rehearsal": SubCommand(Text("prove the newest backups by restoring them in a scratch place",
                                         "최신 백업을 임시 위치에 복구해 검증"), _rehearsal_arguments, _rehearsal),
    "restore": SubCommand(Text("restore a backup for real", "실제 복구"), _restore_arguments, _restore),
    "metrics": SubCommand(Text("leave the containers' and the file systems' metrics for Prometheus",
                               "컨테이너와 파일 시스템 메트릭을 Prometheus용으로 기록"), _metrics_arguments, _metrics),
    "offsite": SubCommand(Text("copies of the backups in a bucket elsewhere", "외부 버킷의 백업 사본"),
                          _offsite_arguments, _offsite),
}


def _targets(options: argparse.Namespace, description: Description) -> List[str]:
    """The targets that were named, each once; all when none was."""
    known = description["backup"]["targets"]
    for target in options.targets:
        if target not in known:
            raise WrongUsage(MESSAGES["target"].fill(target=target, known=", ".join(known)))
    return list(dict.fromkeys(options.targets)) or list(known)


def _each_target(options: argparse.Namespace, description: Description, job: Job) -> Report:
    """A job, target after target, each with its log. What breaks one does not keep the others from being done."""
    found: List[Finding] = []
    for target in _targets(options, description):
        found += _logged(options, description, "%s %s" % (options.command, target), target + "-backup.log",
                         functools.partial(job, target))
    return Report(found)


def _logged(options: argparse.Namespace, description: Description, subject: str, log_name: str,
            job: Callable[[Tell], List[Finding]]) -> List[Finding]:
    """Does a job with a log, and shows on a terminal what it tells."""
    log = JobLog(description["log_directory"], log_name, description["owner"])
    _tell(subject + " …")
    return job_log.do(job, log, subject, options.line, options.lang, _tell)


def _tell(line: str) -> None:
    """What is going on, for who waits at a terminal."""
    if sys.stderr is not None and sys.stderr.isatty():
        # A terminal that went away in the middle is no reason to stop.
        with contextlib.suppress(OSError):
            _write(sys.stderr, line + "\n")


def _progress() -> Optional[Callable[[int, int, str], None]]:
    """Shows how much of so many bytes is done, in one line of a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None

    def show(done: int, total: int, path: str) -> None:
        percent = 100 * done // total if total else 100
        # Back to the line's begin, and no rest of a longer name.
        with contextlib.suppress(OSError):
            _write(sys.stderr, "\r%3d %%  %s\x1b[K" % (percent, path) if done < total else "\r\x1b[K")

    return show


# The command line ----------------------------------------------------------------------------------------------------

class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        korean = next((korean.format(**match.groupdict()) for pattern, korean in _USAGE
                       for match in [pattern.fullmatch(message)] if match), message)
        raise WrongUsage(MESSAGES["help"].fill(said=Text(message, korean), program=self.prog))


def _parser(lang: str) -> argparse.ArgumentParser:
    common = Text("arguments", "인자").get(lang)
    parser = _Parser(prog=PROGRAM, add_help=False, allow_abbrev=False, description=Text(
        "Checks and jobs of the stack on this host. Exit code: 0 pass, 1 something failed, 2 wrong usage, "
        "3 could not tell.",
        "이 호스트의 스택을 점검하고 작업합니다. 종료 코드: 0 정상, 1 실패, 2 잘못된 사용, 3 판단 불가.").get(lang))
    _common_arguments(_adder(parser.add_argument_group(common), lang), top=True)
    # A title of its own, as the groups of arguments have.
    chosen = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser,
                                   title=Text("commands", "명령").get(lang))
    for name, command in COMMANDS.items():
        purpose = command.purpose.get(lang)
        sub = chosen.add_parser(name, help=purpose, description=purpose, add_help=False, allow_abbrev=False)
        add = _adder(sub.add_argument_group(common), lang)
        command.arguments(add)
        _common_arguments(add, top=False)
    return parser


def _adder(group: Any, lang: str) -> Add:
    """``add_argument`` with a help text in the language of who reads it."""
    def add(*names: str, help: Text, **how: Any) -> Any:
        return group.add_argument(*names, help=help.get(lang).replace("%", "%%"), **how)

    return add


def _common_arguments(add: Add, top: bool) -> None:
    """May stand before the sub-command or after it; what stands after it wins."""
    def default(value: Optional[str]) -> Any:
        return value if top else argparse.SUPPRESS

    add("--format", choices=("text", "json"), default=default("text"),
        help=Text("for a person (default) or for a program", "출력 형식. 사람용 text(기본) 또는 프로그램용 json"))
    add("--lang", choices=findings.LANGUAGES, default=default(None),
        help=Text("language; otherwise as COINPILOT_LANG says, or Korean where LC_ALL, LANG or the deploy was",
                  "언어. 생략하면 COINPILOT_LANG을 따르고, LC_ALL이나 LANG 또는 배포할 때의 언어가 한국어면 한국어"))
    add("--description", metavar="FILE", default=default(DESCRIPTION),
        help=Text("description of the stack (default: %s)" % DESCRIPTION, "스택 설명 파일(기본: %s)" % DESCRIPTION))
    add("-h", "--help", action="help", help=Text("show this and end", "도움말 표시"))


def _asked(arguments: Sequence[str], name: str) -> Optional[str]:
    """What is given for --lang or --format, looked for ahead of all else: a wrong usage is answered in it as well."""
    asked = None
    for argument, following in zip(arguments, list(arguments[1:]) + [""]):
        if argument == name or argument.startswith(name + "="):
            asked = argument.partition("=")[2] or following
    return asked


def _language(arguments: Sequence[str]) -> str:
    """As asked for. Where the environment is not Korean, of which sudo keeps nothing, it is the language that was
    deployed."""
    asked = _asked(arguments, "--lang") or os.environ.get("COINPILOT_LANG")
    if asked or findings.language() == "ko":
        return findings.language(asked)
    try:
        with open(_asked(arguments, "--description") or DESCRIPTION, encoding="utf-8") as stream:
            return findings.language(json.load(stream)["language"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # What is wrong with it is said where it is needed.
        return "en"


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs a command line and returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    lang = _language(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Where there are no Korean letters, the rest is still shown.
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # which is how nohup asks to be left alone
            signal.signal(number, _end)
    try:
        return _run(arguments, lang)
    except WrongUsage as problem:
        _complain(problem.text.get(lang))
        _close(arguments, None)
        return WRONG_USAGE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as problem:
        # Nothing but writing the report gets here. What is left of it goes nowhere, or Python complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(problem, BrokenPipeError):
            return 128 + signal.SIGPIPE
        _complain(MESSAGES["not-shown"].fill(error=problem.strerror).get(lang))
        return COULD_NOT_TELL


def _end(number: int, _frame: Any) -> None:
    """So that a job which is told to end, or whose terminal is gone, clears up behind it; once is enough."""
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _run(arguments: Sequence[str], lang: str) -> int:
    options = _parser(lang).parse_args(arguments)
    options.lang = lang
    options.line = " ".join([PROGRAM, *arguments])
    if options.command is None:
        raise WrongUsage(MESSAGES["no-command"].fill(known=", ".join(COMMANDS), program=PROGRAM))
    alone = COMMANDS[options.command].alone(options)
    if not alone and os.geteuid() != 0:
        raise WrongUsage(MESSAGES["root"].fill(command=" ".join([PROGRAM, options.command])))
    description = {} if alone else _read_description(options.description)
    try:
        report = COMMANDS[options.command].run(options, description)
    except WrongUsage:
        raise
    except Exception as problem:
        log = JobLog(description.get("log_directory", tempfile.gettempdir()), PROGRAM + ".log",
                     description.get("owner", ""))
        _complain(job_log.stopped(problem, options.command, log).line(lang))
        _close(arguments, None)
        return COULD_NOT_TELL
    _show(report, options)
    _close(arguments, report.findings)
    return findings.exit_code(report.findings)


def _read_description(path: str) -> Description:
    try:
        with open(path, encoding="utf-8") as stream:
            description = json.load(stream)
    except FileNotFoundError:
        raise WrongUsage(MESSAGES["no-description"].fill(path=path)) from None
    except OSError as problem:
        raise _bad_description(path, Text(str(problem.strerror), str(problem.strerror))) from problem
    except ValueError as problem:
        raise _bad_description(path, Text("it is no JSON", "JSON이 아님")) from problem
    if not isinstance(description, dict):
        raise _bad_description(path, Text("it is no description", "스택 설명이 아님"))
    missing = ", ".join(key for key in NEEDED if key not in description)
    if missing:
        raise _bad_description(path, Text("it lacks " + missing, "빠진 항목: " + missing))
    return description


def _bad_description(path: str, why: Text) -> WrongUsage:
    return WrongUsage(MESSAGES["bad-description"].fill(path=path, why=why))


def _show(report: Report, options: argparse.Namespace) -> None:
    _write(sys.stdout, _shown(report, options))


def _shown(report: Report, options: argparse.Namespace) -> str:
    if options.format == "json":
        return findings.render_json(report.findings, command=options.command, **report.data)
    return report.listing(report.findings, options.lang) + report.text.get(options.lang)


def _close(arguments: Sequence[str], found: Optional[List[Finding]]) -> None:
    """The last line, where the sub-command has one. Beside JSON it would spoil what is to be parsed."""
    command = next((COMMANDS[word] for word in arguments if word in COMMANDS), None)
    if command is not None and command.closing is not None:
        _write(sys.stderr if _asked(arguments, "--format") == "json" else sys.stdout, command.closing(found) + "\n")


def _complain(line: str) -> None:
    _write(sys.stderr, "%s: %s\n" % (PROGRAM, line))


def _write(stream: Optional[TextIO], text: str) -> None:
    # There is none when whoever called has closed it.
    if stream is not None:
        stream.write(text)
        stream.flush()
