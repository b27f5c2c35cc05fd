# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Workflows as files: read, judged before anything is touched, and brought into the one form that is compared."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from .findings import FAIL, Case, Finding, Rule, Text, table

WEBHOOK = "n8n-nodes-base.webhook"
# What is handed to n8n; all else in an export belongs to the instance that it comes from.
_IMPORTED = ("id", "name", "nodes", "connections", "settings", "pinData", "meta", "tags")
_ID = re.compile(r"[A-Za-z0-9_-]{1,36}\Z")
_LONGEST_NAME = 128
# What the editor adds to every workflow's settings by itself.
_EDITORS_SETTINGS = ("availableInMCP", "binaryMode", "callerPolicy")
# Where a node stands and how it is numbered changes nothing of what it does.
_COSMETIC = ("id", "position")

_EXPORT = Text("export it again from n8n, which gives it one: docker exec {container} n8n export:workflow "
               "--id=<id> --output=/dev/stdout",
               "n8n에서 다시 내보내면 id가 들어갑니다: docker exec {container} n8n export:workflow --id=<id> "
               "--output=/dev/stdout")
RULES = table(
    Rule(
        "n8n-workflow-file", Text("workflow file", "워크플로 파일"),
        Text("one n8n workflow as JSON, with an id, and a webhookId in each Webhook node",
             "n8n 워크플로 하나를 담은 JSON. id가 있고 각 Webhook 노드에 webhookId가 있음"),
        {
            "not-json": Case(FAIL, Text("no JSON: {said}", "JSON이 아님: {said}"),
                             Text("nothing was changed; mend the file or take it out of the directory",
                                  "바뀐 것은 없습니다. 파일을 고치거나 디렉터리에서 빼세요")),
            "not-workflow": Case(FAIL, Text("no workflow: {said}", "워크플로가 아님: {said}"),
                                 Text("nothing was changed; export one workflow a file from n8n, or take it out of "
                                      "the directory",
                                      "바뀐 것은 없습니다. n8n에서 파일 하나에 워크플로 하나씩 내보내거나 "
                                      "디렉터리에서 빼세요")),
            "no-id": Case(FAIL, Text("the workflow has no id: every import would make another copy of it",
                                     "워크플로에 id가 없어 가져올 때마다 복사본이 생김"),
                          Text("nothing was changed; " + _EXPORT.en, "바뀐 것은 없습니다. " + _EXPORT.ko)),
            "bad-id": Case(FAIL, Text("the id {id} is none: 1 to 36 letters, digits, - and _",
                                      "id {id}은(는) 쓸 수 없음. 영문자, 숫자, -, _ 1~36자"),
                           Text("nothing was changed; give it another id, and keep that for good",
                                "바뀐 것은 없습니다. 다른 id를 정하고 계속 같은 값을 쓰세요")),
            "no-webhook-id": Case(FAIL, Text("its node {node} has no webhookId: n8n would register it as "
                                             "/webhook/{id}/{node}/{path}, and /webhook/{path} would answer 404",
                                             "노드 {node}에 webhookId가 없음. n8n이 /webhook/{id}/{node}/{path}로 "
                                             "등록하므로 /webhook/{path}는 404를 응답함"),
                                  Text("nothing was changed; open the workflow in n8n, save it and export it again",
                                       "바뀐 것은 없습니다. n8n에서 워크플로를 열어 저장한 뒤 다시 내보내세요")),
            "same-id": Case(FAIL, Text("has the id {id}, as {other} has", "{other}과(와) id가 같음: {id}"),
                            Text("nothing was changed; take one of the two out, or give it another id",
                                 "바뀐 것은 없습니다. 둘 중 하나를 빼거나 다른 id를 지정하세요")),
            "same-path": Case(FAIL, Text("answers {method} /webhook/{path}, as {other} does",
                                         "{other}과(와) 같은 {method} /webhook/{path}에 응답함"),
                              Text("nothing was changed; n8n gives a path to one active workflow only: take one of "
                                   "the two out, set \"active\": false in it, or change its path",
                                   "바뀐 것은 없습니다. n8n은 활성 워크플로 하나에만 경로를 줍니다. 둘 중 하나를 "
                                   "빼거나 \"active\": false로 하거나 경로를 바꾸세요")),
        }),
)

Hook = Tuple[str, str]


class Wanted(NamedTuple):
    """A workflow of a file. One that says ``"active": false`` itself is imported, and not made active."""

    file: str
    id: str
    name: str
    document: Dict[str, Any]
    active: bool

    def hooks(self) -> List[Hook]:
        return hooks(self.document["nodes"])


def load(given: Iterable[Mapping[str, str]], container: str) -> Tuple[List[Wanted], List[Finding]]:
    """The workflows of these files (``name``, ``text``), and what is wrong with them. Then nothing may be changed."""
    wanted: List[Wanted] = []
    found: List[Finding] = []
    for file in given:
        workflow, problems = _load(file["name"], file["text"], container)
        found.extend(problems)
        wanted.extend(workflow)
    return wanted, [*found, *_clashes(wanted)]


def hooks(nodes: Sequence[Any]) -> List[Hook]:
    """(method, path) of every webhook that nodes would have n8n register; what an expression makes is not known."""
    found: List[Hook] = []
    for node in nodes:
        path = _path(node)
        if path and not path.startswith("=") and not node.get("disabled"):
            methods = node["parameters"].get("httpMethod") or "GET"
            found.extend((str(method), path) for method in (methods if isinstance(methods, list) else [methods]))
    return found


def _path(node: Any) -> str:
    """The path of a Webhook node; "" for any other."""
    if not isinstance(node, dict) or node.get("type") != WEBHOOK or not isinstance(node.get("parameters"), dict):
        return ""
    return str(node["parameters"].get("path") or "").strip("/")


def content(name: str, nodes: Sequence[Any], connections: Mapping[str, Any],
            settings: Mapping[str, Any]) -> Dict[str, Any]:
    """What a workflow does, in one form, whether a file holds it or n8n's database: this is what is compared."""
    return {
        "name": name,
        "nodes": {str(node.get("name")): _node(node) for node in nodes if isinstance(node, dict)},
        "connections": _without_empty(connections),
        "settings": {key: value for key, value in settings.items() if key not in _EDITORS_SETTINGS},
    }


def content_of(document: Mapping[str, Any]) -> Dict[str, Any]:
    return content(document["name"], document["nodes"], document["connections"], document.get("settings") or {})


def without_credentials(compared: Mapping[str, Any]) -> Dict[str, Any]:
    nodes = {name: {key: value for key, value in node.items() if key != "credentials"}
             for name, node in compared["nodes"].items()}
    return {**compared, "nodes": nodes}


def digest(compared: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(compared, sort_keys=True).encode("utf-8")).hexdigest()


def for_import(workflow: Wanted) -> Dict[str, Any]:
    """What n8n is given: inactive, as n8n makes of it anyway, and neither archived nor in another's folder."""
    kept = {key: workflow.document[key] for key in _IMPORTED if key in workflow.document}
    return {**kept, "settings": kept.get("settings") or {}, "active": False, "isArchived": False}


def _load(name: str, text: str, container: str) -> Tuple[List[Wanted], List[Finding]]:
    rule = RULES["n8n-workflow-file"]
    try:
        document = json.loads(text)
    except RecursionError:
        return [], [rule.finding("not-json", name, said="nested too deep")]
    except ValueError as problem:
        said = "%s, line %d" % (getattr(problem, "msg", "?"), getattr(problem, "lineno", 0))
        return [], [rule.finding("not-json", name, said=said)]
    said = _shape(document)
    if said:
        return [], [rule.finding("not-workflow", name, said=said)]
    ident = document.get("id")
    if ident in (None, ""):
        return [], [rule.finding("no-id", name, container=container)]
    if not isinstance(ident, str) or not _ID.match(ident):
        return [], [rule.finding("bad-id", name, id=str(ident)[:40])]
    found = [rule.finding("no-webhook-id", name, node=node["name"], id=ident, path=_path(node))
             for node in document["nodes"] if _path(node) and not node.get("webhookId")]
    return [Wanted(name, ident, document["name"], document, document.get("active") is not False)], found


def _shape(document: Any) -> str:
    """What keeps a document from being one workflow; "" where nothing does."""
    if isinstance(document, list):
        return "a list"
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        return "no nodes"
    if not isinstance(document.get("connections"), dict):
        return "no connections"
    if not isinstance(document.get("settings") or {}, dict):
        return "settings"
    if not isinstance(document.get("name"), str) or not 0 < len(document["name"]) <= _LONGEST_NAME:
        return "no name of 1 to %d characters" % _LONGEST_NAME
    names = [node.get("name") if isinstance(node, dict) else None for node in document["nodes"]]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return "nodes without a name of their own"
    if not all(isinstance(node.get("type"), str) and isinstance(node.get("parameters", {}), dict)
               for node in document["nodes"]):
        return "nodes without a type"
    return ""


def _clashes(wanted: Sequence[Wanted]) -> Iterator[Finding]:
    rule = RULES["n8n-workflow-file"]
    by_id: Dict[str, Wanted] = {}
    by_hook: Dict[Hook, Wanted] = {}
    for workflow in wanted:
        first = by_id.setdefault(workflow.id, workflow)
        if first is not workflow:
            yield rule.finding("same-id", workflow.file, id=workflow.id, other=first.file)
            continue
        for hook in workflow.hooks() if workflow.active else ():
            holder = by_hook.setdefault(hook, workflow)
            if holder is not workflow:
                yield rule.finding("same-path", workflow.file, method=hook[0], path=hook[1], other=holder.file)


def _node(node: Mapping[str, Any]) -> Dict[str, Any]:
    kept = {key: value for key, value in node.items() if key not in (*_COSMETIC, "name", "credentials")}
    # The editor leaves out what is empty, as the node's default mostly is.
    kept["parameters"] = _without_empty(node.get("parameters") or {})
    credentials = node.get("credentials")
    if isinstance(credentials, dict) and credentials:
        # n8n puts the name that the credential has now into what it imports.
        kept["credentials"] = {kind: entry.get("id") if isinstance(entry, dict) else entry
                               for kind, entry in credentials.items()}
    return {key: value for key, value in kept.items() if key == "parameters" or not _is_empty(value)}


def _without_empty(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    cleaned = {key: _without_empty(value) for key, value in part.items()}
    return {key: value for key, value in cleaned.items() if not _is_empty(value)}


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})
