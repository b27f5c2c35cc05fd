# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Are the stack's webhooks registered by active workflows, in the right n8n, with the right volume?

`gather` reads Docker and n8n's own database, `judge` is pure. What a webhook that answers 404 lacks is said by name.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import dotenv, files, findings, health, http_json, n8n_database
from . import preflight_compose_n8n as n8n_settings
from . import preflight_workflows as workflows_preflight
from . import preflight_workflows_graph as graphs
from .engine import Engine, EngineError, split_reference
from .findings import Finding, Text
from .n8n_database import Webhook, Workflow
from .n8n_webhooks_rules import NO_OTHERS, OTHER, STATE_RULES
from .preflight_workflows import shown

METHOD = "POST"
# How far back it is looked at what became of calls.
CALLS_SECONDS = 86400
_ENDED_BADLY = ("error", "crashed", "canceled")
DISCORD = graphs.BASE + "discord"
# The judgements of the preflight that tell whether calls without the secret get through.
_GUARDING = ("workflow-unguarded", "workflow-guard")


class Calls(NamedTuple):
    """How the calls of a workflow ended in the last day. ``said`` is why the last failed (masked); "" if it did not."""

    ended: int
    failed: int
    said: str


class Store(NamedTuple):
    """What a volume's database holds. ``owner`` is None where it cannot be told, and ``owner_error`` says why; likewise
    ``calls``, by workflow."""

    workflows: List[Workflow]
    webhooks: List[Webhook]
    credentials: List[str]
    owner: Optional[bool]
    owner_error: str = ""
    calls: Optional[Mapping[str, Calls]] = None
    calls_error: str = ""


class Volume(NamedTuple):
    """A volume of Docker; the number of its workflows is None where that cannot be told."""

    name: str
    workflows: Optional[int]


class World(NamedTuple):
    """What the host says. A reading that failed is None, and ``errors`` says why by its name."""

    # n8n's container as `docker inspect` shows it; None as well where there is none.
    container: Optional[Mapping[str, Any]]
    # The volume that it has, or that it would get; and the file in it.
    volume: str
    database: str
    store: Optional[Store]
    # Looked for where the volume is not the described one, or is empty.
    others: List[Volume]
    # The running containers that have n8n's port on the host: id -> name.
    holders: Mapping[str, str]
    errors: Mapping[str, str]


def service_of(description: Mapping[str, Any]) -> str:
    """The name of the service that is n8n and keeps its data in a volume; "" where the stack has none."""
    return next((name for name, service in description["services"].items()
                 if service["engine"] == "n8n" and "volume" in service), "")


def gather(description: Mapping[str, Any], engine: Optional[Engine] = None) -> World:
    """Reads Docker and the database; nothing is written."""
    name = service_of(description)
    if not name:
        return World(None, "", "", None, [], {}, {"engine": "the description has no n8n that has a volume"})
    try:
        return _gather(description, name, engine or Engine())
    except (EngineError, AttributeError, LookupError, TypeError, ValueError) as problem:
        said = str(problem) if isinstance(problem, EngineError) else "the Docker Engine answers in an unknown way"
        return World(None, "", "", None, [], {}, {"engine": said})


def _gather(description: Mapping[str, Any], name: str, engine: Engine) -> World:
    service = description["services"][name]
    wanted = volume_of(description)
    # Under another project's name, Compose gives the container the name all the same, and other volumes.
    container = health.by_service(engine.containers(description["project"])).get(name) or _named(engine, service)
    holders = {entry["Id"]: entry["Names"][0].lstrip("/") for entry in engine.get("/containers/json")
               if service.get("port") in [port.get("PublicPort", 0) for port in entry.get("Ports") or ()]}
    volumes = {volume["Name"]: volume["Mountpoint"] for volume in engine.get("/volumes")["Volumes"] or ()}
    mounted = [mount for mount in (container or {}).get("Mounts", ()) if mount["Destination"] == service["mount"]]
    volume = (mounted[0].get("Name") or mounted[0]["Source"]) if mounted else "-" if container else wanted
    directory = mounted[0]["Source"] if mounted else volumes.get(volume, "")
    errors: Dict[str, str] = {}
    store = None
    database = n8n_database.path_in(directory) if directory else ""
    kind = environment_of(container).get("DB_TYPE") or "sqlite"
    if not directory:
        errors["database"] = "there is no volume %s" % volume
    elif kind != "sqlite":
        errors["database"] = "n8n keeps its data in %s, not in SQLite" % kind
    else:
        try:
            store = read(database, _secrets(description))
        except n8n_database.Unreadable as problem:
            errors["database"] = str(problem)
    others: List[Volume] = []
    if volume != wanted or store is None or not store.workflows:
        others = [Volume(other, _count(where)) for other, where in sorted(volumes.items())
                  if "n8n" in other.lower() and other != volume]
    return World(container, volume, database, store, others, holders, errors)


def _named(engine: Engine, service: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    try:
        return engine.get("/containers/%s/json" % service["container"])
    except EngineError as problem:
        if problem.status == 404:
            return None
        raise


def _secrets(description: Mapping[str, Any]) -> List[str]:
    try:
        return list(dotenv.parse(files.read_text(os.path.join(description["directory"], ".env")) or "").values())
    except (OSError, ValueError):
        return []


def read(path: str, secrets: Sequence[str] = ()) -> Store:
    """What a database holds, at one moment. Raises n8n_database.Unreadable."""
    owner, owner_error = None, ""
    ended, calls_error = None, ""
    with n8n_database.opened(path) as database:
        workflows, webhooks = database.workflows(), database.webhooks()
        credentials = [credential.id for credential in database.credentials()]
        try:
            owner = database.owner_is_set_up()
        except n8n_database.Unreadable as problem:
            owner_error = str(problem)
        try:
            ended = _ended(database)
        except n8n_database.Unreadable as problem:
            calls_error = str(problem)
    calls = None if ended is None else {ident: _calls(*found, secrets) for ident, found in ended.items()}
    return Store(workflows, webhooks, credentials, owner, owner_error, calls, calls_error)


def _ended(database: n8n_database.Database) -> Dict[str, Tuple[List[n8n_database.Execution], Any]]:
    """By workflow, the calls of the last day that have ended, and what n8n recorded of the last one, if that failed."""
    since = time.strftime("%Y-%m-%d %H:%M:%S.000", time.gmtime(time.time() - CALLS_SECONDS))
    after = max(0, database.last_execution_id() - n8n_database.MOST_EXECUTIONS)
    found: Dict[str, List[n8n_database.Execution]] = {}
    for execution in database.executions(after_id=after, since=since):
        if execution.mode == "webhook" and execution.status in ("success", *_ENDED_BADLY):
            found.setdefault(execution.workflow_id, []).append(execution)
    return {ident: (calls, _record(database, calls[-1])) for ident, calls in found.items()}


def _record(database: n8n_database.Database, execution: n8n_database.Execution) -> Any:
    try:
        return database.record(execution.id) if execution.status in _ENDED_BADLY else None
    except n8n_database.Unreadable:
        return None


def _calls(ended: Sequence[n8n_database.Execution], record: Any, secrets: Sequence[str]) -> Calls:
    failed = sum(each.status in _ENDED_BADLY for each in ended)
    last = ended[-1]
    if last.status not in _ENDED_BADLY:
        return Calls(len(ended), failed, "")
    try:
        run = n8n_database.understood(last.id, record)
    except n8n_database.Unreadable:
        return Calls(len(ended), failed, last.status)
    said = run.error or next((node.error for node in reversed(run.nodes) if node.error), "")
    return Calls(len(ended), failed, http_json.masked(said, secrets) or last.status)


def _count(directory: str) -> Optional[int]:
    try:
        with n8n_database.opened(n8n_database.path_in(directory)) as database:
            return len(database.workflows())
    except n8n_database.Unreadable:
        return 0 if os.path.isdir(directory) and not os.path.lexists(n8n_database.path_in(directory)) else None


def volume_of(description: Mapping[str, Any]) -> str:
    """The volume that the description means."""
    return "%s_%s" % (description["project"], description["services"][service_of(description)]["volume"])


def environment_of(container: Optional[Mapping[str, Any]]) -> Dict[str, str]:
    pairs = ((container or {}).get("Config") or {}).get("Env") or []
    return dict(pair.partition("=")[::2] for pair in pairs if isinstance(pair, str))


def values_of(description: Mapping[str, Any]) -> Dict[str, Any]:
    """What the texts name."""
    service = description["services"][service_of(description)]
    return {"container": service["container"], "port": service.get("port", "-"), "project": description["project"],
            "tunnel_port": service.get("tunnel_port", "-"), "unit": description["unit"], "mount": service["mount"],
            "wanted": volume_of(description)}


def judge(world: World, description: Mapping[str, Any]) -> List[Finding]:
    """n8n itself, its volume, its owner, and every webhook of the description."""
    if not service_of(description):
        return [STATE_RULES["n8n"].unread(world.errors["engine"], port="-")]
    values = values_of(description)
    service = judge_service(world, values)
    found = [service, _judge_volume(world, values), _judge_owner(world, values)]
    for name in description["webhooks"]:
        found.append(judge_webhook(world, name, service.status == findings.PASS, values))
    if world.store is not None:
        found.append(_judge_calls(world.store, description["webhooks"], values))
    return found


def judge_service(world: World, values: Mapping[str, Any]) -> Finding:
    """Whether n8n runs, and whether it is what answers at its port."""
    rule = STATE_RULES["n8n"]
    if "engine" in world.errors:
        return rule.unread(world.errors["engine"], **values)
    others = [name for identifier, name in world.holders.items()
              if world.container is None or identifier != world.container["Id"]]
    now = health.condition(world.container)
    if others:
        return rule.finding("other-instance", other=shown(others[0]), **values)
    if now.kind == "starting":
        return rule.finding("starting", **values)
    if now.kind not in ("healthy", "running"):
        return rule.finding("down", condition=now, **values)
    return rule.finding("running" if world.holders else "unpublished", **values)


def _judge_volume(world: World, values: Mapping[str, Any]) -> Finding:
    rule = STATE_RULES["n8n-volume"]
    if "engine" in world.errors:
        return rule.unread(world.errors["engine"], **values)
    others = _listed(world.others)
    if world.volume != values["wanted"]:
        count = "?" if world.store is None else str(len(world.store.workflows))
        return rule.finding("wrong", volume=shown(world.volume), count=count, others=others, **values)
    if world.store is None:
        return rule.unread(world.errors["database"], **values)
    if not world.store.workflows:
        return rule.finding("empty", volume=shown(world.volume), others=others, **values)
    return rule.finding("right", volume=shown(world.volume), count=len(world.store.workflows), **values)


def _listed(volumes: Sequence[Volume]) -> Text:
    parts = [OTHER.fill(name=shown(volume.name), count="?" if volume.workflows is None else volume.workflows)
             for volume in volumes]
    return Text(", ".join(part.en for part in parts), ", ".join(part.ko for part in parts)) if parts else NO_OTHERS


def _judge_owner(world: World, values: Mapping[str, Any]) -> Finding:
    rule = STATE_RULES["n8n-owner"]
    if world.store is None:
        return rule.unread(_why(world), **values)
    if world.store.owner is None:
        return rule.unread(world.store.owner_error, **values)
    return rule.finding("there" if world.store.owner else "open", **values)


def judge_webhook(world: World, name: str, running: bool, values: Mapping[str, Any]) -> Finding:
    """Whether a path is answered, or why it is not."""
    rule, subject = STATE_RULES["n8n-webhook"], "/webhook/" + name
    if world.store is None:
        return rule.unread(_why(world), subject, **values)
    rows = [row for row in world.store.webhooks if row.path == name and row.method == METHOD]
    case, more = _registered(world, rows[0], name) if rows else _absent(world.store, name)
    if not running and case in ("registered", "not-registered", "leftover", "orphan", "held", "held-inactive"):
        # What n8n registers it forgets when it stops.
        return rule.unread("n8n does not run, or something else has its port", subject, **values)
    return rule.finding(case, subject, **{**values, "volume": shown(world.volume), "path": name, **more})


def _judge_calls(store: Store, names: Sequence[str], values: Mapping[str, Any]) -> Finding:
    """What became of the application's own calls: n8n answers 200 whether or not the message arrived."""
    rule = STATE_RULES["n8n-calls"]
    if store.calls is None:
        return rule.unread(store.calls_error, **values)
    answering = {row.workflow_id for row in store.webhooks if row.path in names and row.method == METHOD}
    calls = {workflow.name: store.calls[workflow.id] for workflow in store.workflows
             if workflow.id in answering and workflow.id in store.calls}
    more = {**values, "count": sum(each.ended for each in calls.values()),
            "failed": sum(each.failed for each in calls.values())}
    failing = {name: each.said for name, each in calls.items() if each.said}
    if failing:
        return rule.finding("failing", workflows=", ".join(map(shown, failing)), said=next(iter(failing.values())),
                            **more)
    return rule.finding("some-failed" if more["failed"] else "well" if more["count"] else "none", **more)


def _why(world: World) -> str:
    return world.errors.get("engine") or world.errors.get("database") or "unknown"


def _registered(world: World, row: Webhook, name: str) -> Tuple[str, Dict[str, Any]]:
    """What there is to say of a path that n8n has registered."""
    store = world.store
    workflow = next((each for each in store.workflows if each.id == row.workflow_id), None) if store else None
    if store is None or workflow is None:
        return "orphan", {"workflow": shown(row.workflow_id)}
    more: Dict[str, Any] = {"workflow": shown(workflow.name)}
    if not workflow.active:
        return "leftover", more
    missing = _without_credential(workflow, store.credentials)
    if missing:
        return "no-credential", {**more, "node": shown(missing)}
    for finding in _preflight(world, workflow):
        return ("blocked" if finding.id == "workflow-env-blocked" else "unguarded"), {
            **more, "said": Text("%s: %s" % (finding.subject, finding.seen.en),
                                 "%s: %s" % (finding.subject, finding.seen.ko))}
    others = [each for each in store.workflows if each.id != workflow.id and not each.archived
              and any(True for _node in _hooks(each.nodes, name))]
    if others:
        active = [each for each in others if each.active]
        return ("held" if active else "held-inactive"), {
            **more, "others": ", ".join(shown(each.name) for each in (active or others)[:3])}
    return "registered", more


def _absent(store: Store, name: str) -> Tuple[str, Dict[str, Any]]:
    """Why n8n has a path not registered: of the workflows that have it, what the nearest one lacks."""
    wanting = [(workflow, node) for workflow in store.workflows for node in _hooks(workflow.nodes, name)]
    if not wanting:
        return "no-workflow", {}
    # An active workflow is nearest; then one that is not archived.
    workflow, node = min(wanting, key=lambda pair: (not pair[0].active, pair[0].archived))
    more: Dict[str, Any] = {"workflow": shown(workflow.name), "node": shown(str(node.get("name")))}
    if workflow.archived:
        return "archived", more
    if not workflow.active:
        return "inactive", more
    running = list(_hooks(workflow.active_nodes, name))
    if not running:
        return "not-published", more
    node = next((each for each in running if not each.get("disabled")), running[0])
    more["node"] = shown(str(node.get("name")))
    if node.get("disabled"):
        return "disabled", more
    mine = [row for row in store.webhooks if row.workflow_id == workflow.id]
    longer = [row for row in mine if row.path != name and row.path.endswith("/" + name)]
    if longer and not node.get("webhookId"):
        return "no-webhook-id", {**more, "registered": shown(longer[0].path)}
    other_methods = sorted({row.method for row in mine if row.path == name})
    if other_methods:
        return "method", {**more, "methods": shown(", ".join(other_methods))}
    return "not-registered", more


def _hooks(nodes: Sequence[Any], name: str) -> Iterator[Mapping[str, Any]]:
    """The Webhook nodes with a path."""
    for node in map(graphs.mapping, nodes):
        path = graphs.mapping(node.get("parameters")).get("path")
        if node.get("type") == graphs.BASE + "webhook" and isinstance(path, str) and path.strip("/") == name:
            yield node


def _without_credential(workflow: Workflow, credentials: Sequence[str]) -> str:
    """The first node that asks for a credential that n8n does not have; "" where there is none."""
    for node in map(graphs.mapping, workflow.active_nodes):
        if node.get("disabled"):
            continue
        for credential in map(graphs.mapping, graphs.mapping(node.get("credentials")).values()):
            if credential.get("id") is not None and str(credential["id"]) not in credentials:
                return str(node.get("name"))
        if _asks_for_one(node) and not graphs.mapping(node.get("credentials")):
            return str(node.get("name"))
    return ""


def _asks_for_one(node: Mapping[str, Any]) -> bool:
    if node.get("type") == DISCORD:
        return True
    return node.get("type") == graphs.BASE + "webhook" and graphs.mapping(node.get("parameters")).get(
        "authentication", "none") != "none"


def _preflight(world: World, workflow: Workflow) -> List[Finding]:
    """What the preflight refuses in a workflow as it runs: first that calls fail, then that they are let through."""
    document = {"name": workflow.name, "nodes": workflow.active_nodes, "connections": workflow.active_connections,
                "settings": workflow.settings}
    file = workflows_preflight.File(workflow.id, json.dumps(document))
    found = workflows_preflight.judge(workflows_preflight.World("", [file]), env_blocked(world.container))
    return [finding for id in ("workflow-env-blocked", *_GUARDING) for finding in found
            if finding.id == id and finding.status == findings.FAIL]


def env_blocked(container: Optional[Mapping[str, Any]]) -> Optional[bool]:
    """Whether n8n keeps its workflows from the environment; None where there is no n8n."""
    if container is None:
        return None
    tag = split_reference(str((container.get("Config") or {}).get("Image") or ""))[1]
    version = re.match(r"v?([0-9]{1,3})(?![0-9a-f])", tag)
    major = int(version.group(1)) if version else None
    return n8n_settings.blocked(n8n_settings.Instance("n8n", major, environment_of(container)))
