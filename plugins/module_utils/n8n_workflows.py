# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""n8n has the project's workflows and the user's own, active, with the credentials they use, and an owner.

`gather` reads, `plan` decides, `Work` does it. A record of what was imported last tells a workflow that a person
changed in n8n, which is kept, from one that is outdated.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import container, dotenv, files, http_json, n8n_cli, n8n_credentials, n8n_database, n8n_owner, watch
from . import n8n_workflow_compare as compare
from . import n8n_workflow_files as workflow_files
from .backup_errors import BackupError
from .container import Container
from .engine import Engine, EngineError
from .findings import FAIL, PASS, WARN, Case, Finding, Rule, Text, table
from .n8n_workflow_compare import Decision

RECORD = "n8n_workflows.json"
_PAUSE = 1.0
# For the Engine to stop a container it waits as long as the container was given to end.
_STOP_PATIENCE = 120.0

_LOGS = Text("see: docker logs --tail 100 {container}; then run this again",
             "원인 확인: docker logs --tail 100 {container}; 그 뒤 다시 실행하세요")
_OVERWRITE = Text("-e n8n_workflows_overwrite=true", "-e n8n_workflows_overwrite=true")
RULES = table(
    Rule("n8n-ready", Text("n8n", "n8n"), Text("runs with the described volume, and answers",
                                               "설명된 볼륨으로 실행 중이며 응답함"), {
        "ready": Case(PASS, Text("runs and answers", "실행 중이며 응답함")),
        "not-yet": Case(PASS, Text("is not there yet: everything is still to be imported",
                                   "아직 없어 모두 가져올 예정")),
        "not-ready": Case(FAIL, Text("{container} did not become ready within {seconds} s",
                                     "{container}이(가) {seconds}초 안에 준비되지 않음"), _LOGS),
        "no-engine": container.CASES["no-engine"],
        "no-container": container.CASES["no-container"],
        "not-running": container.CASES["not-running"],
        "command-failed": container.CASES["command-failed"],
        "wrong-volume": Case(FAIL, container.CASES["wrong-volume"].seen,
                             Text("nothing was imported: this is not the described data. Find the right volume: "
                                  "docker volume ls",
                                  "설명된 데이터가 아니어서 아무것도 가져오지 않았습니다. 볼륨 확인: "
                                  "docker volume ls")),
    }, Text("is its volume there and n8n at work? docker ps; docker logs --tail 100 {container}",
            "볼륨이 있고 n8n이 실행 중인지 확인하세요: docker ps; docker logs --tail 100 {container}")),
    Rule("n8n-workflow", Text("workflow", "워크플로"),
         Text("imported as the file has it, active and registered", "파일과 같고 활성 상태이며 등록됨"), {
        "active": Case(PASS, Text("active", "활성")),
        "inactive": Case(PASS, Text("inactive, as its file says", "파일에 적힌 대로 비활성")),
        "to-import": Case(PASS, Text("to be imported", "가져올 예정")),
        "to-activate": Case(PASS, Text("to be made active", "활성화할 예정")),
        "changed": Case(WARN, Text("was changed in n8n and is kept; from n8n to the file: {differences}",
                                   "n8n에서 바뀌어 그대로 둠. n8n -> 파일 차이: {differences}"),
                        Text("keep it by exporting it into the file, or give it up: " + _OVERWRITE.en,
                             "유지하려면 내보내서 파일에 반영하고, 버리려면: " + _OVERWRITE.ko)),
        "archived": Case(WARN, Text("was archived in n8n and is left inactive", "n8n에서 보관 처리되어 비활성으로 둠"),
                         Text("unarchive it in n8n, or: " + _OVERWRITE.en,
                              "n8n에서 보관을 해제하거나: " + _OVERWRITE.ko)),
        "path-taken": Case(WARN, Text("{method} /webhook/{path} is answered by another active workflow, {other} "
                                      "({id}); this one is not made active",
                                      "{method} /webhook/{path}에 다른 활성 워크플로 {other}({id})이(가) 응답하고 "
                                      "있어 활성화하지 않음"),
                           Text("deactivate that one in n8n and run this again, or have it done: " + _OVERWRITE.en,
                                "n8n에서 그 워크플로를 비활성화하고 다시 실행하거나, 자동으로 하려면: "
                                + _OVERWRITE.ko)),
        "took-over": Case(PASS, Text("answers {method} /webhook/{path} in place of {other} ({id}), which is made "
                                     "inactive and kept",
                                     "{method} /webhook/{path}에 {other}({id}) 대신 응답함. {other}은(는) 비활성으로 "
                                     "바뀌며 그대로 남아 있음")),
        "not-imported": Case(FAIL, Text("n8n did not import it: {said}", "n8n이 가져오지 않음: {said}"), _LOGS),
        "not-active": Case(FAIL, Text("n8n did not make it active: {said}", "n8n이 활성화하지 않음: {said}"), _LOGS),
        "not-registered": Case(FAIL, Text("is active, and n8n does not answer {method} /webhook/{path} with it",
                                          "활성 상태이지만 n8n이 {method} /webhook/{path}에 등록하지 않음"), _LOGS),
        "held": Case(FAIL, Text("is active, and n8n keeps {method} /webhook/{path} for the workflow {id}, which is "
                                "inactive or deleted",
                                "활성 상태이지만 n8n이 {method} /webhook/{path}을(를) 비활성이거나 삭제된 워크플로 "
                                "{id}에 묶어 둠"),
                     Text("switch that one on and off in n8n (if it was deleted: import any workflow with that id "
                          "first), then run this again",
                          "n8n에서 그 워크플로를 켰다가 끄고(삭제되었다면 같은 id로 아무 워크플로나 먼저 가져오기) "
                          "다시 실행하세요")),
    }),
)

_IMPORT = Text("workflow {name} ({file}): imported", "워크플로 {name}({file}): 가져오기")
_UPDATE = Text("workflow {name} ({file}): {differences}", "워크플로 {name}({file}): {differences}")
_ACTIVATE = Text("workflow {name}: made active", "워크플로 {name}: 활성화")
_DEACTIVATE = Text("workflow {name} ({id}): made inactive, {method} /webhook/{path} is for {other}",
                   "워크플로 {name}({id}): 비활성화, {method} /webhook/{path}은(는) {other}에서 사용")
_CREDENTIAL = Text("credential {name}: written from {key} of .env", "자격 증명 {name}: .env의 {key} 값으로 저장")
_OWNER = Text("owner account: created", "소유자 계정: 생성")
_RESTART = Text("n8n: restarted, so that it registers its webhooks", "n8n: webhook 등록을 위해 재시작")


class Stored(NamedTuple):
    """What n8n's database has, at one moment."""

    workflows: List[n8n_database.Workflow]
    webhooks: List[n8n_database.Webhook]
    marks: Dict[str, str]
    owner: bool


class World(NamedTuple):
    """What is there. Where n8n cannot be looked at, ``problem`` says why."""

    env: Optional[Dict[str, str]]
    record: Dict[str, Any]
    service: Optional[Container] = None
    stored: Optional[Stored] = None
    problem: Optional[Finding] = None
    # Why there is no container to look at: a case of container.CASES.
    case: str = ""

    def is_bare(self) -> bool:
        """Whether n8n has yet to be installed."""
        return self.case in ("no-engine", "no-container")


class Plan(NamedTuple):
    """All that is to be done. ``said`` are findings about what is not to be done, or cannot be."""

    decisions: List[Decision]
    credentials: List[n8n_credentials.Wanted]
    create_owner: bool
    restart: bool
    said: List[Finding]

    def deactivated(self) -> Dict[str, Tuple[workflow_files.Hook, n8n_database.Workflow, Decision]]:
        """Other workflows that give up their paths, by id."""
        return {other.id: (hook, other, decision) for decision in self.decisions if decision.activate
                for hook, other in decision.blocked_by}

    def changes(self) -> List[Text]:
        """One line for each thing that this changes."""
        lines = [_OWNER] if self.create_owner else []
        lines += [_CREDENTIAL.fill(name=one.kind.name, key=one.kind.key) for one in self.credentials]
        for decision in self.decisions:
            if decision.imported:
                line = _UPDATE if decision.differences else _IMPORT
                lines.append(line.fill(name=decision.wanted.name, file=decision.wanted.file,
                                       differences=compare.shown(decision.differences)))
            if decision.activate:
                lines.append(_ACTIVATE.fill(name=decision.wanted.name))
        lines += [_DEACTIVATE.fill(name=other.name, id=other.id, method=hook[0], path=hook[1],
                                   other=decision.wanted.name)
                  for hook, other, decision in self.deactivated().values()]
        return lines + ([_RESTART] if self.restart else [])


def service_name(description: Mapping[str, Any]) -> str:
    return next(name for name, service in description["services"].items() if service["engine"] == "n8n")


def gather(description: Mapping[str, Any], engine: Engine, running: bool) -> World:
    """``running``: n8n must run; otherwise its volume is looked at whether or not it does."""
    text = files.read_text(os.path.join(description["directory"], ".env"))
    world = World(None if text is None else dotenv.parse(text), _read_record(description))
    name = service_name(description)
    try:
        service = container.find(engine, description, name, running=running)
        return world._replace(service=service, stored=read(service))
    except BackupError as problem:
        return world._replace(problem=RULES["n8n-ready"].finding(problem.case, **problem.values), case=problem.case)
    except n8n_database.Unreadable as problem:
        unread = RULES["n8n-ready"].unread(str(problem), container=description["services"][name]["container"])
        return world._replace(problem=unread)


def read(service: Container) -> Stored:
    with n8n_database.opened(n8n_database.path_in(service.directory)) as database:
        return Stored(database.workflows(), database.webhooks(), database.credential_marks(),
                      database.owner_is_set_up())


def plan(world: World, wanted: Sequence[workflow_files.Wanted], overwrite: bool) -> Plan:
    """What is to be done for these workflows. With nothing stored, everything is."""
    stored = world.stored or Stored([], [], {}, False)
    env = world.env or {}
    decisions = compare.decide(wanted, stored.workflows, world.record["workflows"], overwrite)
    credentials = [one for one in n8n_credentials.wanted(env)
                   if not n8n_credentials.is_current(one, stored.marks.get(one.kind.id),
                                                     world.record["credentials"].get(one.kind.id))]
    owner = n8n_owner.state(stored.owner, env)
    said = n8n_credentials.problems(env)
    if owner in ("no-keys", "unfit"):
        said.append(n8n_owner.finding(owner, env))
    return Plan(decisions, credentials, owner == "missing", _needs_restart(decisions, stored.webhooks), said)


def _needs_restart(decisions: Sequence[Decision], webhooks: Sequence[n8n_database.Webhook]) -> bool:
    """n8n sees what its commands did to workflows when it starts."""
    for decision in decisions:
        was_active = decision.stored is not None and decision.stored.active
        if decision.activate or (decision.imported and was_active):
            return True
        if was_active and any(holder(hook, webhooks) is None for hook in unregistered(decision, webhooks)):
            return True
    return False


def unregistered(decision: Decision, webhooks: Sequence[n8n_database.Webhook]) -> List[workflow_files.Hook]:
    """The webhooks of an active workflow that n8n does not answer with it."""
    registered = {(webhook.method, webhook.path.strip("/")) for webhook in webhooks
                  if webhook.workflow_id == decision.wanted.id}
    return [hook for hook in workflow_files.hooks(decision.nodes()) if hook not in registered]


def holder(hook: workflow_files.Hook, webhooks: Sequence[n8n_database.Webhook]) -> Optional[str]:
    """The id of the workflow that n8n keeps a webhook for. No other gets it, be that one inactive or deleted."""
    return next((webhook.workflow_id for webhook in webhooks
                 if (webhook.method, webhook.path.strip("/")) == hook), None)


def foreseen(plan_made: Plan) -> List[Finding]:
    """What a run in check mode says."""
    found = list(plan_made.said)
    for decision in plan_made.decisions:
        left = kept(decision)
        if decision.imported or decision.activate:
            case = "to-import" if decision.imported else "to-activate"
            found.append(RULES["n8n-workflow"].finding(case, decision.wanted.name))
        elif not left:
            active = decision.stored is not None and decision.stored.active
            found.append(RULES["n8n-workflow"].finding("active" if active else "inactive", decision.wanted.name))
        found += left + taken_over(decision)
    return found


def kept(decision: Decision) -> List[Finding]:
    """What is left as a person made it in n8n."""
    rule, name = RULES["n8n-workflow"], decision.wanted.name
    found = []
    if decision.kind == compare.KEEP:
        archived = decision.stored is not None and decision.stored.archived
        found.append(rule.finding("archived", name) if archived
                     else rule.finding("changed", name, differences=compare.shown(decision.differences)))
    if not decision.activate:
        found += [rule.finding("path-taken", name, method=hook[0], path=hook[1], other=other.name, id=other.id)
                  for hook, other in decision.blocked_by]
    return found


def taken_over(decision: Decision) -> List[Finding]:
    """Whose place a workflow takes."""
    return [RULES["n8n-workflow"].finding("took-over", decision.wanted.name, method=hook[0], path=hook[1],
                                          other=other.name, id=other.id)
            for hook, other in decision.blocked_by if decision.activate]


class Work:
    """Does what was planned, and looks afterwards."""

    def __init__(self, description: Mapping[str, Any], engine: Engine, world: World, patience: float):
        if world.service is None or world.stored is None:
            raise ValueError("n8n was not looked at")
        self.description, self.engine, self.patience = description, engine, patience
        self.service, self.stored, self.env = world.service, world.stored, world.env or {}
        self.record = world.record
        self.port: Optional[int] = description["services"][service_name(description)].get("port")
        # What n8n said to each step, for the case that it did not do it.
        self.answers: Dict[str, str] = {}

    def do(self, made: Plan) -> List[Finding]:
        """Every step is proven by what is in the database afterwards."""
        found = list(made.said)
        try:
            self._steps(made, found)
        except BackupError as problem:
            values = {**problem.values, "said": http_json.masked(problem.values.get("said", ""), self.env.values())}
            found.append(RULES["n8n-ready"].finding(problem.case, **values))
        except EngineError as problem:
            found.append(RULES["n8n-ready"].finding("no-engine", said=str(problem)))
        except n8n_database.Unreadable as problem:
            found.append(RULES["n8n-ready"].unread(str(problem), container=self.service.name))
        except OSError as problem:
            said = "%s: %s" % (problem.filename, problem.strerror)
            found.append(RULES["n8n-ready"].unread(said, container=self.service.name))
        return found

    def _steps(self, made: Plan, found: List[Finding]) -> None:
        """Where n8n is not ready, no further step is taken: the next run goes on from there."""
        if made.changes() and not self._is_ready():
            found.append(self._not_ready())
            return
        found += self._owner(made)
        found += self._credentials(made)
        self._workflows(made)
        if made.restart:
            self._restart()
            if not self._is_ready():
                found.append(self._not_ready())
                return
            self._wait_for_webhooks(made)
        self._remember(made)
        found += [finding for decision in made.decisions for finding in self._outcome(decision)]
        if made.changes():
            begun = watch.begin(self.description, watch.WORKFLOWS, self.engine)
            found += [] if begun.status == PASS else [begun]

    def _restart(self) -> None:
        Engine(self.engine.path, _STOP_PATIENCE).request("POST", "/containers/%s/restart" % self.service.id)

    def _owner(self, made: Plan) -> List[Finding]:
        if not made.create_owner:
            return [n8n_owner.finding("there", self.env)] if self.stored.owner else []
        said = n8n_owner.create(self.port or 0, self.description["title"], self.env)
        self.stored = read(self.service)
        return [n8n_owner.finding("created" if self.stored.owner else "refused", self.env, said=said or "?",
                                  container=self.service.name)]

    def _credentials(self, made: Plan) -> List[Finding]:
        rule, before = n8n_credentials.RULES["n8n-credential"], self.stored.marks
        if not made.credentials:
            return [rule.finding("current", one.kind.key) for one in n8n_credentials.wanted(self.env)]
        said = n8n_cli.import_credentials(self.service, [one.for_import() for one in made.credentials])
        said = http_json.masked(said, self.env.values())
        self.stored = read(self.service)
        found = []
        for one in made.credentials:
            mark = self.stored.marks.get(one.kind.id)
            if mark is None or mark == before.get(one.kind.id):
                found.append(rule.finding("not-written", one.kind.key, said=said, container=self.service.name))
            else:
                self.record["credentials"][one.kind.id] = n8n_credentials.entry(one, mark)
                found.append(rule.finding("written", one.kind.key))
        self._save()
        return found

    def _workflows(self, made: Plan) -> None:
        imported = [decision for decision in made.decisions if decision.imported]
        documents = [workflow_files.for_import(decision.wanted) for decision in imported]
        # As they are: the import makes them inactive and gives their webhooks back. n8n's command for the former does
        # not do the latter, and no other workflow would get them.
        documents += [compare.unchanged(other) for _hook, other, _decision in made.deactivated().values()]
        if documents:
            said = n8n_cli.import_workflows(self.service, documents)
            self.stored = read(self.service)
            for decision in imported:
                self.answers[decision.wanted.id] = said
            self._remember(made)
        self._activate([decision.wanted.id for decision in made.decisions if decision.activate])

    def _activate(self, wanted: Sequence[str]) -> None:
        there = self._by_id()
        if len(wanted) > 1 and set(wanted) == set(there):
            # A new n8n has no others, and each command takes seconds.
            n8n_cli.set_all_active(self.service)
            self.stored = read(self.service)
            there = self._by_id()
        for ident in wanted:
            if ident in there and not there[ident].active:
                self.answers[ident] = n8n_cli.set_active(self.service, ident, True)
        self.stored = read(self.service)

    def _by_id(self) -> Dict[str, n8n_database.Workflow]:
        return {workflow.id: workflow for workflow in self.stored.workflows}

    def _remember(self, made: Plan) -> None:
        """What n8n has now is what was imported, but for what was kept."""
        there, managed = self._by_id(), {decision.wanted.id for decision in made.decisions}
        before = self.record["workflows"]
        self.record["workflows"] = {ident: entry for ident, entry in before.items() if ident in managed}
        for decision in made.decisions:
            stored = there.get(decision.wanted.id)
            if stored is None or not (decision.kind == compare.CURRENT or self._is_imported(decision, stored)):
                continue
            self.record["workflows"][decision.wanted.id] = compare.entry(decision.wanted, stored,
                                                                         before.get(decision.wanted.id))
        self._save()

    def _save(self) -> None:
        directory = self.description["state_directory"]
        os.makedirs(directory, mode=0o755, exist_ok=True)
        record = files.File(os.path.join(directory, RECORD), json.dumps(self.record, indent=1, sort_keys=True) + "\n",
                            0o600)
        if not os.path.exists(record.path) or not files.is_in_place(record):
            files.write(record)

    @staticmethod
    def _is_imported(decision: Decision, stored: n8n_database.Workflow) -> bool:
        """Whether n8n has what the file has; which credential a node uses, n8n decides."""
        now, file = (workflow_files.without_credentials(one) for one in
                     (compare.stored_content(stored), workflow_files.content_of(decision.wanted.document)))
        return decision.imported and now == file

    def _outcome(self, decision: Decision) -> List[Finding]:
        rule, wanted = RULES["n8n-workflow"], decision.wanted
        stored = self._by_id().get(wanted.id)
        said = self.answers.get(wanted.id) or "?"
        if stored is None or (decision.imported and not self._is_imported(decision, stored)):
            return [rule.finding("not-imported", wanted.name, said=said, container=self.service.name)]
        found = kept(decision)
        if decision.activate and not stored.active:
            found.append(rule.finding("not-active", wanted.name, said=said, container=self.service.name))
        if stored.active and (decision.activate or not decision.blocked_by):
            found += [self._unregistered(decision, hook) for hook in unregistered(decision, self.stored.webhooks)]
        return found or taken_over(decision) or [rule.finding("active" if stored.active else "inactive", wanted.name)]

    def _unregistered(self, decision: Decision, hook: workflow_files.Hook) -> Finding:
        other = holder(hook, self.stored.webhooks)
        return RULES["n8n-workflow"].finding("not-registered" if other is None else "held", decision.wanted.name,
                                             method=hook[0], path=hook[1], id=other, container=self.service.name)

    def _is_ready(self) -> bool:
        """Whether n8n, and Docker's own check of it where there is one, say so before patience ends."""
        deadline = time.monotonic() + self.patience
        while True:
            health = self.engine.get("/containers/%s/json" % self.service.id)["State"].get("Health") or {}
            if health.get("Status", "healthy") == "healthy" and self._answers():
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)

    def _answers(self) -> bool:
        if self.port is None:
            return True
        try:
            return http_json.ask("http://127.0.0.1:%d/healthz/readiness" % self.port).status == 200
        except http_json.HttpError:
            return False

    def _wait_for_webhooks(self, made: Plan) -> None:
        """n8n answers before it has made all its workflows active."""
        deadline = time.monotonic() + self.patience
        while True:
            self.stored = read(self.service)
            active = self._by_id()
            waiting = [decision for decision in made.decisions if decision.wanted.id in active
                       and active[decision.wanted.id].active
                       and any(holder(hook, self.stored.webhooks) is None
                               for hook in unregistered(decision, self.stored.webhooks))]
            if not waiting or time.monotonic() > deadline:
                return
            time.sleep(_PAUSE)

    def _not_ready(self) -> Finding:
        return RULES["n8n-ready"].finding("not-ready", container=self.service.name, seconds=int(self.patience))


def _read_record(description: Mapping[str, Any]) -> Dict[str, Any]:
    """What was imported last. One that cannot be read is as none: then nothing that differs is overwritten."""
    text = files.read_text(os.path.join(description["state_directory"], RECORD))
    try:
        record = json.loads(text or "{}")
    except ValueError:
        record = {}
    record = record if isinstance(record, dict) else {}
    return {part: record[part] if isinstance(record.get(part), dict) else {} for part in ("workflows", "credentials")}
