# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What is to be done about a workflow: imported, brought up to date, left alone because a person changed it."""

from __future__ import annotations

import itertools
import json
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import http_json, n8n_workflow_files
from . import preflight_workflows_secrets as secrets
from .findings import Text
from .n8n_database import Workflow
from .n8n_workflow_files import Hook, Wanted

# What may come of comparing: all but the last two are imported.
CREATE, UPDATE, OVERWRITE, CURRENT, KEEP = "create", "update", "overwrite", "current", "keep"
IMPORTED = (CREATE, UPDATE, OVERWRITE)
_SHOWN_DIFFERENCES = 8
# As many former imports are known again when a restored backup brings them back.
_EARLIER = 20
_LONGEST_VALUE = 60
_NAME = Text("name: {change}", "이름: {change}")
_NODE = Text("node {node}", "노드 {node}")
_SETTINGS = Text("settings", "설정")
_LEAF = Text("{place}: {path}: {change}", "{place}: {path}: {change}")
_CONNECTIONS = Text("connections of {node}: {change}", "{node}의 연결: {change}")
_ONLY_FILE = Text("node {node}: only in the file", "노드 {node}: 파일에만 있음")
_ONLY_N8N = Text("node {node}: only in n8n", "노드 {node}: n8n에만 있음")
_FROM_LINE = Text("from line {number} on: {change}", "{number}번째 줄부터: {change}")
_ARROW = Text("{old} -> {new}", "{old} -> {new}")
_NONE = Text("nothing", "없음")
_MORE = Text("{number} more", "외 {number}개")
_HIDDEN = Text("***", "***")


class Decision(NamedTuple):
    """What is to be done about one workflow. ``differences`` say what would change, from n8n's to the file's."""

    wanted: Wanted
    stored: Optional[Workflow]
    kind: str
    differences: List[Text]
    activate: bool
    # Active workflows that hold a path of this one: (the path, theirs).
    blocked_by: List[Tuple[Hook, Workflow]]

    @property
    def imported(self) -> bool:
        return self.kind in IMPORTED

    def nodes(self) -> Sequence[Any]:
        """The nodes that n8n has once this is done."""
        return self.wanted.document["nodes"] if self.imported or self.stored is None else self.stored.nodes


def decide(wanted: Sequence[Wanted], stored: Sequence[Workflow], record: Mapping[str, Any],
           overwrite: bool) -> List[Decision]:
    """``record`` maps ids to digests: of the ``file`` imported last, of what n8n ``stored`` then and ``earlier``."""
    by_id = {workflow.id: workflow for workflow in stored}
    own = {workflow.id for workflow in wanted}
    others = [workflow for workflow in stored if workflow.active and not workflow.archived and workflow.id not in own]
    return [_decide(workflow, by_id.get(workflow.id), record.get(workflow.id), others, overwrite)
            for workflow in wanted]


def stored_content(stored: Workflow) -> Dict[str, Any]:
    return n8n_workflow_files.content(stored.name, stored.nodes, stored.connections, stored.settings)


def unchanged(stored: Workflow) -> Dict[str, Any]:
    """A workflow that n8n has, as n8n's import takes it."""
    return {"id": stored.id, "name": stored.name, "nodes": stored.nodes, "connections": stored.connections,
            "settings": stored.settings, "active": False}


def entry(wanted: Wanted, stored: Workflow, before: Any) -> Dict[str, Any]:
    """What is recorded of a workflow that n8n has as its file says. ``before`` is what was recorded until now."""
    new = {"file": n8n_workflow_files.digest(n8n_workflow_files.content_of(wanted.document)),
           "stored": n8n_workflow_files.digest(stored_content(stored))}
    before = before if isinstance(before, dict) else {}
    earlier = [digest for digest in [*_earlier(before), before.get("stored")] if digest and digest != new["stored"]]
    return {**new, "earlier": list(dict.fromkeys(earlier))[-_EARLIER:]}


def _earlier(recorded: Mapping[str, Any]) -> List[Any]:
    listed = recorded.get("earlier")
    return [digest for digest in listed if isinstance(digest, str)] if isinstance(listed, list) else []


def _decide(wanted: Wanted, stored: Optional[Workflow], recorded: Any, others: Sequence[Workflow],
            overwrite: bool) -> Decision:
    kind = CREATE
    differences: List[Text] = []
    if stored is not None:
        now, file = stored_content(stored), n8n_workflow_files.content_of(wanted.document)
        kind = _kind(now, file, stored.archived, recorded if isinstance(recorded, dict) else {}, overwrite)
        differences = list(difference(now, file)) if kind != CURRENT else []
    decision = Decision(wanted, stored, kind, differences, False, [])
    if not wanted.active or (stored is not None and stored.archived and not decision.imported):
        return decision
    blocked = [(hook, other) for hook in n8n_workflow_files.hooks(decision.nodes()) for other in others
               if hook in n8n_workflow_files.hooks(other.active_nodes)]
    # n8n's import makes what it imports inactive. Of two active workflows with one path, n8n may have taken the other.
    needed = decision.imported or stored is None or not stored.active or bool(blocked)
    return decision._replace(activate=needed and (overwrite or not blocked), blocked_by=blocked)


def _kind(now: Mapping[str, Any], file: Mapping[str, Any], archived: bool, recorded: Mapping[str, Any],
          overwrite: bool) -> str:
    stored, wanted = n8n_workflow_files.digest(now), n8n_workflow_files.digest(file)
    if archived:
        return OVERWRITE if overwrite else KEEP
    if stored == wanted:
        return CURRENT
    if stored == recorded.get("stored"):
        # n8n keeps some things otherwise than the file has them: what was imported last is not outdated by that.
        return CURRENT if wanted == recorded.get("file") else UPDATE
    if stored in _earlier(recorded):
        # A backup was restored, and brought back an older file's.
        return UPDATE
    return OVERWRITE if overwrite else KEEP


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Text]:
    """One line for each thing that differs: where it stands, and what it is on both sides. Secrets are not shown."""
    if before["name"] != after["name"]:
        yield _NAME.fill(change=_change(before["name"], after["name"]))
    for name in sorted({*before["nodes"], *after["nodes"]}):
        old, new = before["nodes"].get(name), after["nodes"].get(name)
        if old is None or new is None:
            yield (_ONLY_FILE if old is None else _ONLY_N8N).fill(node=name)
        else:
            yield from _leaf_difference(_NODE.fill(node=name), old, new)
    for name in sorted({*before["connections"], *after["connections"]}):
        sides = before["connections"].get(name), after["connections"].get(name)
        if sides[0] != sides[1]:
            yield _CONNECTIONS.fill(node=name, change=_ARROW.fill(old=_targets(sides[0]), new=_targets(sides[1])))
    yield from _leaf_difference(_SETTINGS, before["settings"], after["settings"])


def shown(differences: Sequence[Text]) -> Text:
    more = len(differences) - _SHOWN_DIFFERENCES
    listed = [*differences[:_SHOWN_DIFFERENCES], *([_MORE.fill(number=more)] if more > 0 else [])]
    return Text("; ".join(line.en for line in listed), "; ".join(line.ko for line in listed))


def _leaf_difference(place: Text, before: Any, after: Any) -> Iterator[Text]:
    old, new = dict(_leaves(before)), dict(_leaves(after))
    hidden = {found.text for found in itertools.chain(secrets.search(before), secrets.search(after))}
    for path in sorted({*old, *new}):
        sides = old.get(path), new.get(path)
        if sides[0] != sides[1]:
            secret = any(isinstance(side, str) and side in hidden for side in sides)
            yield _LEAF.fill(place=place, path=path, change=_HIDDEN if secret else _change(*sides))


def _targets(connections: Any) -> Text:
    """Whom a node leads to, by the names that stand in its connections."""
    names = [str(value) for path, value in _leaves(connections or {}) if path.rsplit(".", 1)[-1] == "node"]
    return _plain(", ".join(names)) if names else _NONE


def _leaves(part: Any) -> Iterator[Tuple[str, Any]]:
    """Every value in a document with its path, e.g. parameters.options.wait."""
    waiting = [("", part)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting.extend((_joined(place, str(key)), inner) for key, inner in value.items())
        elif isinstance(value, list) and value:
            waiting.extend((_joined(place, str(number)), inner) for number, inner in enumerate(value))
        else:
            yield place, value


def _joined(path: str, key: str) -> str:
    return "%s.%s" % (path, key) if path else key


def _change(before: Any, after: Any) -> Text:
    if isinstance(before, str) and isinstance(after, str) and ("\n" in before or "\n" in after):
        return _line_change(before.split("\n"), after.split("\n"))
    return _ARROW.fill(old=_value(before), new=_value(after))


def _line_change(before: List[str], after: List[str]) -> Text:
    """Of long texts, such as code, the first line that differs."""
    number = next(index for index, pair in enumerate(itertools.zip_longest(before, after)) if pair[0] != pair[1])
    old, new = (lines[number] if number < len(lines) else None for lines in (before, after))
    return _FROM_LINE.fill(number=number + 1, change=_ARROW.fill(old=_value(old), new=_value(new)))


def _value(value: Any) -> Text:
    if value is None:
        return _NONE
    text = http_json.masked(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return _plain(text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE - 1] + "\u2026")


def _plain(text: str) -> Text:
    return Text(text, text)
