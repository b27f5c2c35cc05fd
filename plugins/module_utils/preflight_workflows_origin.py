# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Where a value in an n8n workflow comes from, followed back through the nodes that lead to it."""

from __future__ import annotations

import re
from typing import Any, List, NamedTuple, Optional, Set, Tuple

from . import preflight_workflows_graph as graphs
from .preflight_workflows_expression import Tree, parse, steps, unwrap
from .preflight_workflows_graph import Graph, Node, listing, mapping

_READERS: Tuple[Tuple[Any, ...], ...] = (("item",), ("first", ()), ("last", ()), ("all", (), "0"))
_LONGEST = 100


class Origin(NamedTuple):
    """Where a value comes from: the request (a path; value is the trigger that took it), env, process or vars (a name),
    a const, hmac, nowhere, opaque."""

    kind: str
    path: Tuple[str, ...] = ()
    value: Any = None


_Seen = Set[Tuple[str, Tuple[str, ...]]]


def origins(graph: Graph, node: Node, tree: Tree) -> Set[Origin]:
    """Where a value that a node reads comes from, over every way that leads to the node."""
    return _origins(graph, node, unwrap(tree), set())


def _origins(graph: Graph, node: Node, tree: Tree, seen: _Seen) -> Set[Origin]:
    if tree.kind == "const":
        return {Origin("const", value=tree.value)}
    base, path = steps(tree)
    if base == "$env" and len(path) == 1:
        return {Origin("env", (str(path[0]),))}
    if base == "$vars" and len(path) == 1:
        return {Origin("vars", (str(path[0]),))}
    if base == "process" and path[:1] == ["env"] and len(path) == 2:
        return {Origin("process", (str(path[1]),))}
    source, field = _field(base, path)
    if field is None:
        return {Origin("opaque")}
    if source is None:
        return _arriving(graph, node, field, seen)
    if source not in graph.nodes:
        return {Origin("nowhere")}
    return _leaving(graph, graph.nodes[source], field, seen)


def _arriving(graph: Graph, node: Node, field: Tuple[str, ...], seen: _Seen) -> Set[Origin]:
    found: Set[Origin] = set()
    for edge in graph.entering.get(node.name, ()):
        found |= _leaving(graph, graph.nodes[edge.source], field, seen)
    return found


def _leaving(graph: Graph, node: Node, field: Tuple[str, ...], seen: _Seen) -> Set[Origin]:
    """Where a field of a node's output comes from."""
    if (node.name, field) in seen:
        return set()
    if len(seen) > _LONGEST:
        return {Origin("opaque")}
    seen.add((node.name, field))
    if graphs.is_entry(node):
        return {Origin("request", field, node.name)}
    if graphs.is_inside(node) and not node.disabled:
        return set()
    if graphs.is_transparent(node):
        return _arriving(graph, node, field, seen)
    if node.is_a("set"):
        return _assigned(graph, node, field, seen)
    if node.is_a("crypto") and node.parameters.get("action") == "hmac" and field == (
            node.parameters.get("dataPropertyName", "data"),):
        base, path = steps(unwrap(parse(node.parameters.get("secret"))))
        return {Origin("hmac" if base == "$env" and len(path) == 1 else "opaque")}
    return {Origin("opaque")}


def _assigned(graph: Graph, node: Node, field: Tuple[str, ...], seen: _Seen) -> Set[Origin]:
    """A Set node: a field that it sets, or one that it leaves as it was."""
    values, keeps = _assignments(node)
    if values is None:
        return {Origin("opaque")}
    for name, value in values:
        if name == ".".join(field):
            return _origins(graph, node, unwrap(parse(value)), seen)
        if re.split(r"[.\[]", name)[0] == field[0]:
            return {Origin("opaque")}
    return _arriving(graph, node, field, seen) if keeps else {Origin("opaque")}


def _field(base: Optional[str], path: List[Any]) -> Tuple[Optional[str], Optional[Tuple[str, ...]]]:
    """The node whose output is read (None: what arrives here) and the field in it (None: not understood)."""
    source: Optional[str] = None
    if base == "$json":
        rest = path
    elif base == "$input":
        rest = _after_reader(path)
    elif base == "$" and path and isinstance(path[0], tuple) and len(path[0]) == 1:
        source, rest = str(path[0][0]), _after_reader(path[1:])
    elif base == "$node" and len(path) > 2 and path[1] == "json":
        source, rest = str(path[0]), path[2:]
    else:
        return None, None
    if not rest or any(isinstance(step, tuple) for step in rest):
        return None, None
    return source, tuple(rest)


def _after_reader(path: List[Any]) -> List[Any]:
    """What follows .item.json, .first().json, .last().json or .all()[0].json."""
    for reader in _READERS:
        start = (*reader, "json")
        if tuple(path[:len(start)]) == start:
            return path[len(start):]
    return []


def _assignments(node: Node) -> Tuple[Optional[List[Tuple[str, Any]]], bool]:
    """The fields that a Set node sets (None: not told), and whether it keeps the others."""
    parameters = node.parameters
    if node.version < 3:
        values = mapping(parameters.get("values"))
        listed = [entry for kind in values.values() for entry in listing(kind)]
        keeps = parameters.get("keepOnlySet", False) is False
    elif parameters.get("mode", "manual") != "manual" or parameters.get("duplicateItem"):
        return None, False
    elif node.version < 3.3:
        listed = listing(mapping(parameters.get("fields")).get("values"))
        keeps = parameters.get("include", "all") == "all"
    else:
        listed = listing(mapping(parameters.get("assignments")).get("assignments"))
        keeps = parameters.get("includeOtherFields") is True and parameters.get("include", "all") == "all"
    found = []
    for entry in (mapping(entry) for entry in listed):
        name = entry.get("name")
        if not isinstance(name, str) or name.startswith("="):
            return None, False
        value = entry.get("value", entry.get("stringValue", ""))
        found.append((name, value))
    return found, keeps
