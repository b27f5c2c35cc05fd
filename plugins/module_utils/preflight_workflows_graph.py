# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""An n8n workflow as a graph: its nodes, what leads from where to where, who can start it, and what acts outside."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple

BASE, LANGCHAIN = "n8n-nodes-base.", "@n8n/n8n-nodes-langchain."

# Nodes that only choose among, change or hold up what they are given. Every other one counts as having an effect.
_PURE = frozenset(BASE + name for name in """
    aggregate compareDatasets compression convertToFile crypto dateTime editImage errorTrigger evaluationTrigger
    executeWorkflowTrigger executionData extractFromFile filter form formTrigger html htmlExtract iCal if itemLists
    limit markdown manualTrigger merge moveBinaryData noOp readPDF removeDuplicates renameKeys respondToWebhook set
    scheduleTrigger simulate sort splitInBatches splitOut spreadsheetFile start stickyNote stopAndError summarize
    switch totp wait webhook xml
""".split()) | {LANGCHAIN + "chatTrigger", LANGCHAIN + "mcpTrigger"}
# Nodes whose output has the fields of their input, unchanged.
_TRANSPARENT = frozenset(BASE + name for name in """
    executionData filter if limit merge noOp removeDuplicates respondToWebhook sort splitInBatches switch wait
""".split())
# Triggers that no call starts: a clock, a queue or mailbox that n8n looks into, another workflow, the editor.
_INSIDE = frozenset(BASE + name for name in """
    airtableTrigger amqpTrigger clockifyTrigger cron emailReadImap errorTrigger evaluationTrigger executeWorkflowTrigger
    gmailTrigger googleBusinessProfileTrigger googleCalendarTrigger googleDriveTrigger googleSheetsTrigger interval
    kafkaTrigger localFileTrigger manualTrigger microsoftOneDriveTrigger microsoftOutlookTrigger mqttTrigger n8nTrigger
    notionTrigger postgresTrigger rabbitmqTrigger redisTrigger rssFeedReadTrigger salesforceTrigger scheduleTrigger
    seaTableTrigger simulateTrigger sseTrigger start togglTrigger workflowTrigger
""".split()) | {LANGCHAIN + "manualChatTrigger"}
# Triggers of services whose calls n8n itself checks by a signature; and those of which only a credential tells.
_SIGNED = frozenset(BASE + name for name in """
    clickUpTrigger facebookLeadAdsTrigger githubTrigger helpScoutTrigger shopifyTrigger surveyMonkeyTrigger
    telegramTrigger whatsAppTrigger wooCommerceTrigger
""".split())
_MAY_BE_SIGNED = frozenset(BASE + name for name in """
    ciscoWebexTrigger facebookTrigger slackTrigger stripeTrigger zendeskTrigger
""".split())
# What lets the code of a Code node reach out of its sandbox: requests, modules, stored data, other workflows.
_REACHES_OUT = re.compile(
    r"helpers|require|import|fetch|XMLHttp|WebSocket|getWorkflowStaticData|executeWorkflow|process|globalThis|constructor"
    r"|prototype|Function\s*\(|eval|__|\bopen\s*\(|\bexec\b|this\s*\[|\\u|\\x")


class Node(NamedTuple):
    """One node, as far as it is judged."""

    name: str
    type: str
    version: float
    parameters: Mapping[str, Any]
    credentials: Mapping[str, Any]
    disabled: bool = False
    always_outputs: bool = False
    # Errors do not stop the workflow.
    continues: bool = False

    def is_a(self, *names: str) -> bool:
        return self.type in {BASE + name for name in names}


class Edge(NamedTuple):
    """What leaves ``source`` by its output ``port`` enters ``target`` by its input ``entrance``."""

    source: str
    output: int
    target: str
    entrance: int


class Graph(NamedTuple):
    """The nodes of a workflow by name, and what leads from one to another."""

    nodes: Mapping[str, Node]
    # What leaves a node, and what enters one.
    edges: Mapping[str, List[Edge]]
    entering: Mapping[str, List[Edge]]
    # A sub-node (a tool, a model) and the node that calls it.
    tools: Mapping[str, List[str]]
    # Connections whose end does not exist: (source, target).
    dangling: List[Tuple[str, str]]
    # Nodes that the engine forgets, for a later one has their name.
    duplicates: List[str]
    # n8n's order of execution from before 1.0.
    legacy: bool = False


def is_workflow(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("nodes"), list) \
        and isinstance(document.get("connections"), dict)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> List[Any]:
    return value if isinstance(value, list) else []


def read(document: Mapping[str, Any]) -> Optional[Graph]:
    """The graph, or None where a node has no name or no type: n8n would not take it."""
    nodes: Dict[str, Node] = {}
    duplicates = []
    for raw in document["nodes"]:
        node = _node(raw)
        if node is None:
            return None
        if node.name in nodes:
            duplicates.append(node.name)
        nodes[node.name] = node
    edges: Dict[str, List[Edge]] = {}
    entering: Dict[str, List[Edge]] = {}
    tools: Dict[str, List[str]] = {}
    dangling = []
    for source, kind, port, link in _links(document["connections"]):
        target, index = link.get("node"), link.get("index")
        if source not in nodes or not isinstance(target, str) or target not in nodes:
            dangling.append((source, str(target)))
        elif kind == "main":
            edge = Edge(source, port, target, index if isinstance(index, int) else 0)
            edges.setdefault(source, []).append(edge)
            entering.setdefault(target, []).append(edge)
        else:
            tools.setdefault(target, []).append(source)
    legacy = mapping(document.get("settings")).get("executionOrder") != "v1"
    return Graph(nodes, edges, entering, tools, dangling, duplicates, legacy)


def _node(raw: Any) -> Optional[Node]:
    raw = mapping(raw)
    name, kind, version = raw.get("name"), raw.get("type"), raw.get("typeVersion")
    if not isinstance(name, str) or not name or not isinstance(kind, str) or not kind:
        return None
    # n8n takes its newest version for a node that names none.
    number = float(min(version, 99)) if isinstance(version, (int, float)) and not isinstance(version, bool) else 99.0
    continues = raw.get("continueOnFail") is True \
        or raw.get("onError") in ("continueRegularOutput", "continueErrorOutput")
    return Node(name, kind, number, mapping(raw.get("parameters")), mapping(raw.get("credentials")),
                raw.get("disabled") is True, raw.get("alwaysOutputData") is True, continues)


def _links(connections: Mapping[str, Any]) -> Iterable[Tuple[str, str, int, Mapping[str, Any]]]:
    for source, kinds in connections.items():
        for kind, ports in mapping(kinds).items():
            for port, links in enumerate(listing(ports)):
                for link in listing(links):
                    yield source, kind, port, mapping(link)


def is_pure(node: Node) -> bool:
    """Whether nothing outside n8n changes when the node runs."""
    if node.is_a("code", "function", "functionItem"):
        code = [node.parameters.get(key, "") for key in ("jsCode", "pythonCode", "functionCode")]
        return all(isinstance(text, str) and not _REACHES_OUT.search(text) for text in code)
    return node.type in _PURE or is_trigger(node)


def is_transparent(node: Node) -> bool:
    return node.disabled or node.type in _TRANSPARENT


def is_trigger(node: Node) -> bool:
    return node.is_a("webhook", "start", "cron", "interval", "emailReadImap") or node.type.endswith("Trigger")


def is_inside(node: Node) -> bool:
    return node.type in _INSIDE


def is_signed(node: Node) -> Optional[bool]:
    """Whether a service's trigger checks who calls; None where that cannot be told from the workflow."""
    if node.type in _MAY_BE_SIGNED or not node.type.startswith((BASE, LANGCHAIN)):
        return None
    # Telegram's does since its second version.
    return node.type in _SIGNED and not (node.is_a("telegramTrigger") and node.version <= 1)


def resumes_by_call(node: Node) -> bool:
    """A Wait node that a call to /webhook-waiting/<number of the execution> lets go on: the numbers can be guessed."""
    return node.is_a("wait") and node.parameters.get("resume") in ("webhook", "form")


def is_entry(node: Node) -> bool:
    """Whether somebody outside can start here."""
    if node.disabled:
        return False
    if node.type == LANGCHAIN + "chatTrigger":
        return node.parameters.get("public") is not None and node.parameters.get("public") is not False
    return resumes_by_call(node) or (is_trigger(node) and not is_inside(node))


def reach(graph: Graph, starts: Iterable[str], cut: Callable[[Edge], bool]) -> Set[str]:
    """The nodes that what enters at ``starts`` comes to, when nothing passes where ``cut`` says so."""
    waiting = list(starts)
    seen = set(waiting)
    arrived: Dict[str, Set[int]] = {}
    while waiting:
        name = waiting.pop()
        follow = list(graph.tools.get(name, ()))
        for edge in graph.edges.get(name, ()):
            # A disabled node hands on what came by its first input, by its first output.
            if cut(edge) or (graph.nodes[name].disabled and edge.output):
                continue
            target = graph.nodes[edge.target]
            if target.disabled and edge.entrance and not target.always_outputs:
                continue
            arrived.setdefault(edge.target, set()).add(edge.entrance)
            if not needs_all_inputs(target) or arrived[edge.target] >= {
                    other.entrance for other in graph.entering[edge.target]}:
                follow.append(edge.target)
        for name in follow:
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def all_of(graph: Graph, starts: Iterable[str]) -> Set[str]:
    """The nodes that could be reached if no check stood in the way."""
    return reach(graph, starts, lambda edge: False)


def forced(graph: Graph, names: Iterable[str]) -> List[str]:
    """Those of the nodes that put out an item though they were given none.

    In the old order of execution n8n runs what leads to a node of several inputs when any of these got something.
    """
    if not graph.legacy:
        return []
    return [name for name in names if graph.nodes[name].always_outputs and any(
        edge.entrance for reached in all_of(graph, [name]) for edge in graph.entering.get(reached, ()))]


def needs_all_inputs(node: Node) -> bool:
    """A Merge node that puts out nothing unless every input got something."""
    if not node.is_a("merge") or node.version < 3 or node.disabled or node.always_outputs or node.continues:
        return False
    return node.parameters.get("mode") == "combine" and (
        node.parameters.get("combineBy") == "combineAll"
        or (node.parameters.get("combineBy") == "combineByPosition"
            and not mapping(node.parameters.get("options")).get("includeUnpaired")))


def effects(graph: Graph, reached: Iterable[str]) -> List[str]:
    """Those of the nodes that act outside, in the order of the file."""
    wanted = set(reached)
    return [name for name, node in graph.nodes.items() if name in wanted and not node.disabled and not is_pure(node)]
