# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Calls every webhook without a secret, with a wrong one and with the right one, and judges by n8n's own record.

An answer of 200 says no more than that a workflow was started. Every call carries a number of its own, by which its
execution is found among those of calls that others make meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import re
import time
import uuid
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import dotenv, files, findings, n8n_database, n8n_webhooks
from . import preflight_workflows_graph as graphs
from .findings import Finding
from .n8n_database import Execution, NodeRun
from .n8n_webhooks import World
from .n8n_webhooks_rules import PROBE_RULES, STATE_RULES, WITHOUT
from .preflight_workflows import shown

SECRET_KEY, SECRET_HEADER = "N8N_WEBHOOK_SECRET", "x-webhook-secret"
NONE, WRONG, RIGHT = "none", "wrong", "right"
# Longer than the five attempts, five seconds apart, that n8n makes at most of a node that fails.
PATIENCE = 45.0
# An execution is recorded before n8n answers; one that is not there by then will not be.
RECORDED_WITHIN = 8.0
ANSWER_SECONDS = 15.0
# Discord takes five messages in two seconds.
PAUSE = 0.5
POLL = 0.5
# What the runbook sends by hand.
PAYLOAD = {"side": "BUY", "symbol": "KRW-BTC", "price": 100, "quantity": 0.001}

_ENDED = ("success", "error", "crashed", "canceled")
_SHORTEST_SECRET = 6
_DISCORD_TOKEN = re.compile(r"(/webhooks/)[^\s'\"]+")
_URL_CREDENTIALS = re.compile(r"(://)[^/\s:@]+:[^/\s@]+@")
# What the error of a node tells about why, the first that fits: by the status that it got, otherwise by n8n's words.
_REASONS: Sequence[Tuple[str, Sequence[str], "re.Pattern[str]"]] = (
    ("env-denied", (), re.compile(r"access to env vars denied")),
    ("rate-limited", ("429",), re.compile(r"rate limit|too many requests|\b429\b", re.IGNORECASE)),
    ("address-refused", ("401", "403", "404"), re.compile(
        r"invalid webhook token|unknown webhook|unauthorized|authorization failed|forbidden|could not be found"
        r"|\b40[134]\b", re.IGNORECASE)),
    ("unreachable", (), re.compile(
        r"\bE(CONN\w+|NOTFOUND|AI_\w+|TIMEDOUT|HOSTUNREACH|NETUNREACH|ADDRNOTAVAIL|PIPE)\b|refused the connection|"
        r"cannot be established|connection was (?:aborted|closed)|closed unexpectedly|timed? ?out|timeout of|"
        r"socket hang up|unreachable|is offline", re.IGNORECASE)),
    ("trouble-there", (), re.compile(r"\b5\d\d\b|not able to process|bad gateway|service unavailable|internal server",
                                     re.IGNORECASE)),
)


class Step(NamedTuple):
    """A node that ran: what it said when it failed (masked), whether or not that ended the workflow."""

    node: str
    error: str
    http_status: str


class Trace(NamedTuple):
    """What n8n recorded of a call. ``steps`` is None where there is no record of what was run."""

    execution: Execution
    steps: Optional[List[Step]]
    last_node: str
    error: str
    said: str = ""


class Call(NamedTuple):
    """One call: the status that it was answered with (0: none), or why there was no answer."""

    status: int
    said: str
    trace: Optional[Trace] = None


class Probes(NamedTuple):
    """webhook -> kind of call -> the call; or why nothing was called, as a case of the rule with its values."""

    calls: Mapping[str, Mapping[str, Call]]
    not_called: str = ""
    values: Mapping[str, Any] = {}
    seconds: float = PATIENCE
    error: str = ""


def gather(description: Mapping[str, Any], world: World, patience: float = PATIENCE) -> Probes:
    """Calls the webhooks, unless it is not this stack's n8n that would be called, and waits for what comes of it."""
    if not n8n_webhooks.service_of(description):
        return Probes({}, "not-sent", {"why": world.errors["engine"], "fix": findings.NOTHING})
    values = n8n_webhooks.values_of(description)
    service = n8n_webhooks.judge_service(world, values)
    if service.status != findings.PASS:
        # The secret goes to nobody else.
        return Probes({}, "not-sent", {"why": service.seen, "fix": service.fix})
    path = os.path.join(description["directory"], ".env")
    try:
        secrets = dotenv.parse(files.read_text(path) or "")
        if not secrets.get(SECRET_KEY):
            return Probes({}, "no-secret", {"key": SECRET_KEY, "path": path})
        with _alone(description["state_directory"]) as alone:
            if not alone:
                return Probes({}, "busy")
            return _probe(description, world, secrets, patience)
    except OSError as problem:
        return Probes({}, "not-sent", {"why": "%s: %s" % (problem.filename, problem.strerror),
                                       "fix": STATE_RULES["n8n-volume"].unread_fix})


@contextlib.contextmanager
def _alone(state_directory: str) -> Iterator[bool]:
    """Whether this is the only probe; the kernel lets go of the lock of one that was killed."""
    directory = os.path.join(state_directory, "n8n")
    files.make_directory(directory, 0o700)
    with open(os.open(os.path.join(directory, "probe.lock"), os.O_RDWR | os.O_CREAT, 0o600), "r+",
              encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _probe(description: Mapping[str, Any], world: World, secrets: Mapping[str, str], patience: float) -> Probes:
    port = n8n_webhooks.values_of(description)["port"]
    mask = masking(secrets.values())
    recorder = Recorder(world.database, mask)
    calls: Dict[str, Dict[str, Call]] = {}
    numbers: Dict[Tuple[str, str], str] = {}
    for name in description["webhooks"]:
        calls[name] = {}
        for kind in (NONE, WRONG, RIGHT):
            number = numbers[name, kind] = uuid.uuid4().hex
            secret = {NONE: None, WRONG: "wrong-" + number, RIGHT: secrets[SECRET_KEY]}[kind]
            calls[name][kind] = call(port, name, secret, number, mask)
        time.sleep(PAUSE)
    traces = recorder.wait({number: calls[name][kind].status for (name, kind), number in numbers.items()}, patience)
    return Probes({name: {kind: made._replace(trace=traces.get(numbers[name, kind])) for kind, made in kinds.items()}
                   for name, kinds in calls.items()}, seconds=patience, error=recorder.error)


def call(port: int, name: str, secret: Optional[str], number: str, mask: Callable[[str], str]) -> Call:
    """One call of a webhook on the host's loopback."""
    headers = {"Content-Type": "application/json", "User-Agent": "coinpilot-ops probe"}
    if secret is not None:
        headers[SECRET_HEADER] = secret
    body = json.dumps({**PAYLOAD, "probe": True, "probe_id": number})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", "/webhook/" + name, body.encode("utf-8"),
                           {key: value.encode("utf-8") for key, value in headers.items()})
        answer = connection.getresponse()
        return Call(answer.status, mask(answer.read(2000).decode("utf-8", "replace")))
    except (OSError, http.client.HTTPException, ValueError) as problem:
        # What http.client refuses it quotes, and a header holds the secret.
        said = type(problem).__name__ if isinstance(problem, ValueError) else str(problem) or type(problem).__name__
        return Call(0, mask(said))
    finally:
        connection.close()


class Recorder:
    """Looks for executions by the numbers of their calls."""

    def __init__(self, database: str, mask: Callable[[str], str]):
        self.database, self.mask = database, mask
        self.error = ""
        self.after = 0
        try:
            with n8n_database.opened(database) as opened:
                self.after = opened.last_execution_id()
        except n8n_database.Unreadable as problem:
            self.error = str(problem)

    def wait(self, answers: Mapping[str, int], patience: float) -> Dict[str, Trace]:
        """number -> what was recorded, once all have ended, or after so many seconds."""
        begun = time.monotonic()
        traces: Dict[str, Trace] = {}
        while not self.error:
            try:
                traces = self._look(list(answers))
            except n8n_database.Unreadable as problem:
                self.error = str(problem)
                break
            waited = time.monotonic() - begun
            running = any(trace.execution.status not in _ENDED for trace in traces.values())
            missing = any(number not in traces and (status == 0 or status < 300)
                          for number, status in answers.items())
            if waited >= patience or not running and not (missing and waited < RECORDED_WITHIN):
                break
            time.sleep(POLL)
        return traces

    def _look(self, numbers: Sequence[str]) -> Dict[str, Trace]:
        found: Dict[str, Trace] = {}
        with n8n_database.opened(self.database) as database:
            executions = {execution.id: execution for execution in database.executions(after_id=self.after)}
            for number in numbers:
                for identifier in database.executions_with(number, self.after)[:1]:
                    if identifier in executions:
                        found[number] = self.trace(database, executions[identifier])
        return found

    def trace(self, database: n8n_database.Database, execution: Execution) -> Trace:
        """What the record of an execution tells. Of its items nothing is kept: a header of the call is the secret."""
        if execution.status not in _ENDED:
            return Trace(execution, None, "", "")
        try:
            run = database.run(execution.id)
        except n8n_database.Unreadable as problem:
            return Trace(execution, None, "", "", str(problem))
        if run is None:
            return Trace(execution, None, "", "")
        return Trace(execution, [Step(each.node, self.mask(_failure(each)), each.http_status) for each in run.nodes],
                     run.last_node, self.mask(run.error))


def _failure(run: NodeRun) -> str:
    """What a node said when it failed, also where the workflow goes on with the error as an item."""
    if run.error:
        return run.error
    for output in run.outputs:
        for item in map(graphs.mapping, output):
            if item.get("error"):
                return n8n_database.error_text(item["error"])
    return ""


def masking(secrets: Any) -> Callable[[str], str]:
    """What takes secrets out of a text, and makes it one short line."""
    hidden = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def mask(text: str) -> str:
        for secret in hidden:
            for spelling in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
                text = text.replace(spelling, "***")
        text = _URL_CREDENTIALS.sub(r"\1***@", _DISCORD_TOKEN.sub(r"\1***", text))
        plain = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
        return plain if len(plain) <= 200 else plain[:197] + "..."

    return mask


def judge(probes: Probes, world: World, description: Mapping[str, Any]) -> List[Finding]:
    """Per webhook: was the right call delivered, and were the others refused?"""
    if probes.not_called and not n8n_webhooks.service_of(description):
        return [PROBE_RULES["n8n-probe"].finding(probes.not_called, "", **probes.values)]
    values = {**n8n_webhooks.values_of(description), **probes.values, "seconds": int(probes.seconds)}
    if probes.not_called:
        return [PROBE_RULES["n8n-probe"].finding(probes.not_called, "", **values)]
    found: List[Finding] = []
    for name, calls in probes.calls.items():
        judge_one = _Judge(name, calls, probes, world, values)
        found.append(judge_one.right())
        found.extend(judge_one.others())
    return found


class _Judge:
    """Judges the calls of one webhook."""

    def __init__(self, name: str, calls: Mapping[str, Call], probes: Probes, world: World, values: Mapping[str, Any]):
        self.name, self.calls, self.probes, self.world, self.values = name, calls, probes, world, values
        self.subject = "/webhook/" + name

    def say(self, case: str, **more: Any) -> Finding:
        return PROBE_RULES["n8n-probe"].finding(case, self.subject, **{**self.values, **more})

    def right(self) -> Finding:
        made = self.calls[RIGHT]
        if made.trace is not None:
            return self.recorded(made, made.trace)
        if made.status == 0:
            return self.say("unanswered", said=made.said)
        state = n8n_webhooks.judge_webhook(self.world, self.name, True, self.values)
        if made.status == 404:
            if state.status == findings.FAIL and state.seen.en.endswith("404"):
                return self.say("not-registered", why=state.seen, fix=state.fix)
            return self.say("not-known")
        if made.status in (401, 403):
            return self.say("secret-differs", answer=made.status)
        if made.status >= 300 and state.status == findings.FAIL:
            return self.say("explained", answer=made.status, why=state.seen, fix=state.fix)
        if made.status >= 300:
            return self.say("refused", answer=made.status)
        if self.probes.error:
            return PROBE_RULES["n8n-probe"].unread(self.probes.error, self.subject, **self.values)
        workflow = self.workflow_of_path()
        if workflow is not None and not _saves(workflow, self.world):
            return self.say("not-saved", answer=made.status, workflow=shown(workflow.name))
        return self.say("not-recorded", answer=made.status)

    def recorded(self, made: Call, trace: Trace) -> Finding:
        """The verdict of an execution that n8n recorded."""
        execution, workflow = trace.execution, self.workflow(trace)
        more = {"answer": made.status or "-", "execution": execution.id, "status": shown(execution.status),
                "workflow": shown(workflow.name if workflow else execution.workflow_id)}
        if execution.status not in _ENDED:
            return self.say("still-running", **more)
        sending = _sending(workflow) if workflow else None
        # One that the workflow goes on after counts where it was to send something.
        ended = execution.status != "success" or sending is None
        failed = [step for step in trace.steps or () if step.error and (ended or step.node in (sending or ()))]
        if execution.status != "success" or failed:
            step = failed[-1] if failed else Step(trace.last_node or "-", trace.error or execution.status, "")
            return self.say(reason(step), node=shown(step.node), said=step.error, **more)
        if trace.steps is None or sending is None:
            return PROBE_RULES["n8n-probe"].unread(trace.said or "execution %d has no data" % execution.id,
                                                   self.subject, **self.values)
        ran = [step.node for step in trace.steps if step.node in sending]
        if not ran:
            return self.say("dropped", node=shown(trace.last_node or "-"), **more)
        return self.say("delivered", node=shown(ran[-1]), **more)

    def others(self) -> Iterator[Finding]:
        """The calls without the secret, and with a wrong one. Where nothing is registered, nothing is refused."""
        rule = PROBE_RULES["n8n-probe-refusal"]
        calls = {kind: self.calls[kind] for kind in (NONE, WRONG)}
        if all(made.status == 404 for made in calls.values()):
            return
        for kind, made in calls.items():
            acted = self.acted(made.trace)
            if acted and made.trace is not None:
                workflow = self.workflow(made.trace)
                yield rule.finding("let-through", self.subject, how=WITHOUT[kind], node=shown(acted[0]),
                                   execution=made.trace.execution.id, **self.values,
                                   workflow=shown(workflow.name if workflow else made.trace.execution.workflow_id))
                return
        for kind, made in calls.items():
            if made.status == 0 and made.trace is None:
                yield rule.unread(made.said, self.subject, **self.values)
                return
            if self.acted(made.trace) is None or made.trace is None and made.status < 300:
                yield rule.finding("unsure", self.subject, how=WITHOUT[kind], answer=made.status, **self.values)
                return
        yield rule.finding("refused", self.subject, none=calls[NONE].status, wrong=calls[WRONG].status, **self.values)

    def acted(self, trace: Optional[Trace]) -> Optional[List[str]]:
        """The nodes behind the webhook that acted; None where the record does not tell."""
        if trace is None:
            return []
        workflow = self.workflow(trace)
        if trace.steps is None or workflow is None or trace.execution.status not in _ENDED:
            return None
        acting = _acting(workflow)
        return None if acting is None else [step.node for step in trace.steps if step.node in acting]

    def workflow(self, trace: Trace) -> Optional[n8n_database.Workflow]:
        workflows = self.world.store.workflows if self.world.store else []
        return next((each for each in workflows if each.id == trace.execution.workflow_id), None)

    def workflow_of_path(self) -> Optional[n8n_database.Workflow]:
        store = self.world.store
        ids = [row.workflow_id for row in store.webhooks if row.path == self.name] if store else []
        return next((each for each in store.workflows if each.id in ids), None) if store else None


def reason(step: Step) -> str:
    """The case of the rule that fits what a node said."""
    for case, statuses, _words in _REASONS:
        if step.http_status in statuses:
            return case
    if re.fullmatch(r"5\d\d", step.http_status):
        return "trouble-there"
    said = "%s %s" % (step.http_status, step.error)
    return next((case for case, _statuses, words in _REASONS if words.search(said)), "failed")


def _acting(workflow: n8n_database.Workflow) -> Optional[List[str]]:
    """The nodes that act outside of the workflow; None where its nodes cannot be understood."""
    graph = graphs.read({"nodes": workflow.active_nodes, "connections": workflow.active_connections})
    return None if graph is None else graphs.effects(graph, graph.nodes)


def _sending(workflow: n8n_database.Workflow) -> Optional[List[str]]:
    """The nodes of which one must have run: those that post to Discord, or else all that act."""
    discord = [str(node.get("name")) for node in map(graphs.mapping, workflow.active_nodes)
               if node.get("type") == n8n_webhooks.DISCORD and not node.get("disabled")]
    return discord or _acting(workflow)


def _saves(workflow: n8n_database.Workflow, world: World) -> bool:
    """Whether n8n keeps the records of a workflow that ended well."""
    setting = workflow.settings.get("saveDataSuccessExecution", "DEFAULT")
    if setting == "DEFAULT":
        setting = n8n_webhooks.environment_of(world.container).get("EXECUTIONS_DATA_SAVE_ON_SUCCESS", "all")
    return setting != "none"


def run(description: Mapping[str, Any], world: World, patience: float = PATIENCE) -> List[Finding]:
    """Calls every webhook and judges what came of it."""
    return judge(gather(description, world, patience), world, description)
