# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""n8n's workflows, judged as graphs: whether what acts on the world is behind a check of the secret."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from . import preflight_workflows_graph as graphs
from . import preflight_workflows_guard as guards
from . import preflight_workflows_secrets as secrets
from .findings import Finding, with_passes
from .preflight_workflows_expression import segments
from .preflight_workflows_graph import Edge, Graph, mapping
from .preflight_workflows_guard import Check
from .preflight_workflows_rules import DEFECTS, RULES

# No workflow that a person drew is larger; one that is would take too long to judge.
_LARGEST, _MOST_NODES = 16 << 20, 1000
_SERVICE = "n8n"
_NOTES = ("open-when-empty", "in-url", "ignores-case")
_ENVIRONMENT = re.compile(r"(?:\$|\bprocess\.)env\b(?:\s*\??\.\s*([A-Za-z_]\w*)"
                          r"|\s*(?:\?\.)?\[\s*['\"`](\w+)['\"`]\s*\])?")
_CODE = ("jsCode", "pythonCode", "functionCode")


class File(NamedTuple):
    """One file: its text, or why it could not be read."""

    path: str
    text: str = ""
    error: str = ""


class World(NamedTuple):
    """The files of the directory; None where there is no such directory."""

    directory: str
    files: Optional[List[File]] = None
    error: str = ""


def gather(directory: str) -> World:
    """Every file of the directory and those below it, but for hidden ones and notes in Markdown.

    A workflow under another ending would be imported just the same.
    """
    if not os.path.isdir(directory):
        return World(directory)
    errors: List[str] = []
    paths: List[str] = []
    for top, below, names in os.walk(directory, onerror=lambda error: errors.append(str(error.strerror))):
        below.sort()
        paths.extend(os.path.join(top, name) for name in names
                     if not name.startswith(".") and not name.lower().endswith(".md"))
    return World(directory, [read(path) for path in sorted(paths)], errors[0] if errors else "")


def read(path: str) -> File:
    name = path.encode("utf-8", "backslashreplace").decode("utf-8")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as source:
            status = os.fstat(source.fileno())
            if not stat.S_ISREG(status.st_mode):
                return File(name, error="not a regular file")
            if status.st_size > _LARGEST:
                return File(name, error="larger than %d MiB" % (_LARGEST >> 20))
            return File(name, source.read().decode("utf-8", "surrogateescape"))
    except OSError as error:
        return File(name, error=error.strerror or "error")


def judge(world: World, env_blocked: Optional[bool]) -> List[Finding]:
    """What is wrong with the workflows; ``env_blocked`` tells whether n8n forbids them the environment."""
    whole = RULES["workflow-file"]
    if world.files is None:
        return [whole.finding("missing", shown(world.directory)).at(_SERVICE, world.directory)]
    found: List[Finding] = []
    if world.error:
        found.append(whole.unread(world.error, shown(world.directory)).at(_SERVICE, world.directory))
    if not world.files and not world.error:
        found.append(whole.finding("empty", shown(world.directory)).at(_SERVICE, world.directory))
    judged = False
    for file in world.files:
        workflows, problems = _parse(file)
        found.extend(problems)
        judged = judged or bool(workflows)
        for workflow in workflows:
            found.extend(_Judge(file, workflow, env_blocked).findings())
    return with_passes(RULES if judged else {whole.id: whole}, found)


def _parse(file: File) -> Tuple[List[Dict[str, Any]], List[Finding]]:
    """The workflows of a file, and what else is in it or wrong with it."""
    rule, subject = RULES["workflow-file"], shown(os.path.basename(file.path))
    if file.error:
        return [], [rule.unread(file.error, subject).at(_SERVICE, file.path)]
    try:
        document = json.loads(file.text, parse_constant=_no_constant)
    except RecursionError:
        return [], [rule.finding("not-json", subject, error="nested too deep").at(_SERVICE, file.path)]
    except ValueError as error:
        reason, line = getattr(error, "msg", "it holds what is no number"), getattr(error, "lineno", None)
        return [], [rule.finding("not-json", subject, error=reason).at(_SERVICE, file.path, line)]
    entries = _entries(document)
    others = [entry for entry in entries if not graphs.is_workflow(entry)]
    found = _something_else(file, others) if others or not entries else []
    return [entry for entry in entries if graphs.is_workflow(entry)], found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _entries(document: Any) -> List[Any]:
    """What a file holds: one thing, a list of them, or what a program wrapped around them."""
    if isinstance(document, dict) and not graphs.is_workflow(document):
        wrapped = [document[key] for key in ("workflows", "workflow", "data")
                   if isinstance(document.get(key), list) or graphs.is_workflow(document.get(key))]
        document = wrapped[0] if wrapped else document
    return document if isinstance(document, list) else [document]


def _something_else(file: File, others: List[Any]) -> List[Finding]:
    """What is in a file and is no workflow; credentials are the worst."""
    subject = shown(os.path.basename(file.path))
    credentials = [entry for entry in map(mapping, others) if "data" in entry and isinstance(entry.get("type"), str)]
    rule = RULES["workflow-file"]
    found = [rule.finding("credentials" if credentials else "not-workflow", subject).at(_SERVICE, file.path)]
    if any(isinstance(entry["data"], dict) and entry["data"] for entry in credentials):
        found.append(RULES["workflow-secret-literal"].finding("credentials", subject).at(_SERVICE, file.path))
    return found


class _Judge:
    """Judges one workflow of a file."""

    def __init__(self, file: File, workflow: Mapping[str, Any], env_blocked: Optional[bool]):
        self.file, self.workflow, self.env_blocked = file, workflow, env_blocked
        name = workflow.get("name")
        self.name = shown(name) if isinstance(name, str) and name else shown(os.path.basename(file.path))

    def findings(self) -> List[Finding]:
        if len(self.workflow["nodes"]) > _MOST_NODES:
            return [RULES["workflow-file"].unread("more than %d nodes" % _MOST_NODES, self.name).at(_SERVICE,
                                                                                                    self.file.path)]
        graph = graphs.read(self.workflow)
        if graph is None:
            return [self.say("workflow-file", "malformed", ""), *self.literals()]
        checks = {}
        for name, node in graph.nodes.items():
            check = guards.examine(graph, node, self.env_blocked)
            if check:
                checks[name] = check
        return [*self.shape(graph), *self.guarding(graph, checks), *self.literals(), *self.compared(checks),
                *self.environment(graph)]

    def say(self, rule: str, case: str, node: str, **values: Any) -> Finding:
        subject = "%s / %s" % (self.name, shown(node)) if node else self.name
        line = self.line(r'"name"\s*:\s*' + re.escape(json.dumps(node)), r'"name"\s*:\s*' + re.escape(
            json.dumps(node, ensure_ascii=False))) if node else None
        return RULES[rule].finding(case, subject, **values).at(_SERVICE, self.file.path, line)

    def line(self, *patterns: str) -> Optional[int]:
        """The line of the file on which one of the patterns stands first."""
        for pattern in patterns:
            match = re.search(pattern, self.file.text)
            if match:
                return self.file.text.count("\n", 0, match.start()) + 1
        return None

    def shape(self, graph: Graph) -> Iterator[Finding]:
        for name in dict.fromkeys(graph.duplicates):
            yield self.say("workflow-file", "duplicate", name)
        for source, target in dict.fromkeys(graph.dangling):
            case = "dangling" if source in graph.nodes else "stale"
            yield self.say("workflow-file", case, source, other=shown(target))

    def guarding(self, graph: Graph, checks: Mapping[str, Check]) -> Iterator[Finding]:
        """The ways from each entry to what acts, through the checks and around them."""
        called: Set[str] = set()
        around: Set[str] = set()
        for name in (name for name, node in graph.nodes.items() if graphs.is_entry(node)):
            state = guards.authentication(graph.nodes[name])
            if state == "no-credential":
                yield self.defect("broken", name, state)
            if state in ("sound", "no-credential"):
                continue
            called |= graphs.all_of(graph, [name])
            acting = _acting_around(graph, graph.nodes[name], checks)
            around.update(acting)
            if acting and state:
                yield self.defect("bypassed", name, state, effects=_listed(acting))
            elif acting:
                yield self.say("workflow-unguarded", _kind_of_entry(graph.nodes[name]), name, effects=_listed(acting))
        for name in checks:
            if name in called:
                yield from self.checking(graph, checks, name)
            elif around and not graph.entering.get(name):
                yield self.say("workflow-guard", "unwired", name, effects=_listed(sorted(around)))
        for name in graphs.forced(graph, sorted(called)):
            acting = graphs.effects(graph, graphs.reach(graph, [name], lambda edge: _is_cut(checks, edge)) - {name})
            if acting and not around.issuperset(acting):
                yield self.say("workflow-unguarded", "forced", name, effects=_listed(acting))

    def checking(self, graph: Graph, checks: Mapping[str, Check], name: str) -> Iterator[Finding]:
        """What gets past a check that calls come to, by the outputs that it does not guard."""
        check = checks[name]
        for edge in graph.edges.get(name, ()):
            if edge.output in check.guarded or (graph.nodes[name].disabled and edge.output):
                continue
            acting = graphs.effects(graph, graphs.reach(graph, [edge.target], lambda way: _is_cut(checks, way)))
            if acting:
                yield self.defect("bypassed", name, check.reason(edge.output), effects=_listed(acting))
                return
        if not check.guarded:
            yield self.defect("spare", name, check.reason(0))
        elif "header-case" in check.notes:
            yield self.defect("broken", name, "header-case")
        for note in _NOTES:
            if check.guarded and note in check.notes:
                yield self.say("workflow-guard", note, name)

    def defect(self, case: str, name: str, defect: str, **values: Any) -> Finding:
        what, fix = DEFECTS[defect]
        return self.say("workflow-guard", case, name, defect=what, fix=fix, **values)

    def literals(self) -> Iterator[Finding]:
        """Secrets by their shape or name, in nodes and in what was stored with them."""
        parts: List[Tuple[str, Any]] = []
        for node in (mapping(raw) for raw in self.workflow["nodes"]):
            name = node.get("name")
            parts.append((name if isinstance(name, str) else "", {**node, "name": ""}))
        parts.append(("", {key: value for key, value in self.workflow.items() if key not in ("nodes", "connections")}))
        for name, part in parts:
            seen = set()
            for secret in secrets.search(part):
                if (secret.place, secret.kind) not in seen:
                    seen.add((secret.place, secret.kind))
                    finding = self.say("workflow-secret-literal", "literal", name, place=shown(secret.place),
                                       kind=secret.kind)
                    yield finding.at(_SERVICE, self.file.path, self.line(
                        *(re.escape(json.dumps(secret.text, ensure_ascii=ascii_only)) for ascii_only in (True, False))))

    def compared(self, checks: Mapping[str, Check]) -> Iterator[Finding]:
        for name, check in checks.items():
            if "literal" in check.notes:
                yield self.say("workflow-secret-literal", "compared", name)

    def environment(self, graph: Graph) -> Iterator[Finding]:
        """Nodes that read the environment, which n8n may forbid them."""
        if self.env_blocked is False:
            return
        for name, node in graph.nodes.items():
            names = [] if node.disabled else sorted(set(_environment(node.parameters)))
            if names:
                yield self.say("workflow-env-blocked", "blocked" if self.env_blocked else "unknown", name,
                               names=", ".join(names[:5]))


def _is_cut(checks: Mapping[str, Check], edge: Edge) -> bool:
    return edge.source in checks and edge.output in checks[edge.source].guarded


def _acting_around(graph: Graph, entry: graphs.Node, checks: Mapping[str, Check]) -> List[str]:
    """What acts and can be reached from an entry without coming to a check of its calls."""
    if graphs.resumes_by_call(entry):
        # A check of the first call tells nothing of the call that resumes.
        checks = {name: check for name, check in checks.items() if check.callers <= {entry.name}}
    return graphs.effects(graph, graphs.reach(graph, [entry.name], lambda edge: edge.source in checks))


def _kind_of_entry(node: graphs.Node) -> str:
    if graphs.resumes_by_call(node):
        return "resumed"
    if node.is_a("webhook", "formTrigger") or node.type.startswith(graphs.LANGCHAIN):
        return "open"
    return "unknown" if graphs.is_signed(node) is None else "service"


def _environment(value: Any) -> Iterator[str]:
    """The names of the variables that a parameter's expressions and code read; * is one that cannot be told."""
    waiting = [("", value)]
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.items())
        elif isinstance(part, list):
            waiting.extend((name, below) for below in part)
        elif isinstance(part, str):
            for code in [part] if name in _CODE else segments(part):
                for match in _ENVIRONMENT.finditer(code):
                    yield "$env." + (match.group(1) or match.group(2) or "*")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(shown(name) for name in names[:3]) + (" (+%d)" % more if more > 0 else "")


def shown(text: str) -> str:
    """A name as it may be shown: on one line, not too long, and without a secret in it."""
    if secrets.kind_of(text):
        return "(hidden)"
    plain = " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").split())
    printable = "".join(character if character.isprintable() else "?" for character in plain)
    return printable[:77] + "..." if len(printable) > 80 else printable
