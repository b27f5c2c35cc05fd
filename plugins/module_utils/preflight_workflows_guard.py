# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether a node of an n8n workflow is a check of the secret that no call without it gets past, and if not, why not.

The conditions become a formula; then: does this output, taken, imply that the secret was the right one?
"""

from __future__ import annotations

import re
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import preflight_workflows_graph as graphs
from .preflight_workflows_expression import OPAQUE, Tree, parse, segments, unwrap
from .preflight_workflows_graph import Graph, Node, listing, mapping
from .preflight_workflows_origin import Origin, origins

SECRET_NAME = re.compile(r"secret|token|passw|passphrase|credential|signature|hmac|api[-_]?key|auth(?!or)"
                         r"|(?:\A|[-_])key\Z", re.IGNORECASE)
# Names that mean a secret also in the body of a call, where a token may be a coin and a key anything.
_SURELY_SECRET = re.compile(r"secret|passw|passphrase|signature|hmac|api[-_]?key|authoriz|auth[-_]?token",
                            re.IGNORECASE)
_MENTIONS = re.compile(r"\$env|\$vars|process\.env|secret|token|passw|signature|hmac|api[-_]?key|authoriz",
                       re.IGNORECASE)
# The ways of authentication that a trigger knows, and the credential that each needs ("" none: n8n's own users).
_BY_CALL = {"headerAuth": "httpHeaderAuth", "basicAuth": "httpBasicAuth", "jwtAuth": "jwtAuth"}
_BY_PERSON = {"basicAuth": "httpBasicAuth", "n8nUserAuth": ""}
_AUTHENTICATIONS = {
    graphs.BASE + "webhook": _BY_CALL, graphs.BASE + "wait": _BY_CALL, graphs.BASE + "formTrigger": _BY_PERSON,
    graphs.LANGCHAIN + "chatTrigger": _BY_PERSON,
    graphs.LANGCHAIN + "mcpTrigger": {"headerAuth": "httpHeaderAuth", "bearerAuth": "httpBearerAuth"}}
_EQUAL = {"equal": True, "equals": True, "notEqual": False, "notEquals": False}
_FILLED = ("isNotEmpty", "notEmpty")
_DEEPEST = 60
# Which defect is named where there are several.
_TELLING = ("any", "self", "empty", "both-request", "empty-value", "blank", "variables", "several", "not-secret",
            "operation", "type", "fallback", "constant", "present-only", "no-request", "unproven")


class Formula(NamedTuple):
    """and, or, not, truthy with parts; match, a comparison that tells the secret; filled; constant; other."""

    kind: str
    parts: Tuple[Formula, ...] = ()
    defect: str = ""
    notes: FrozenSet[str] = frozenset()
    # The triggers whose calls are looked at.
    callers: FrozenSet[str] = frozenset()


class Check(NamedTuple):
    """What a node that looks like a check of the secret is worth."""

    # The outputs that only the secret opens.
    guarded: FrozenSet[int]
    # Why the others are open, as far as it is known for an output; None is every other output.
    why: Mapping[Optional[int], str]
    notes: FrozenSet[str]
    # The triggers whose calls it looks at.
    callers: FrozenSet[str] = frozenset()

    def reason(self, output: int) -> str:
        return self.why.get(output, self.why[None])


def authentication(node: Node) -> str:
    """How the entry itself checks who calls: "" not at all, "sound", or what is wrong with it."""
    if graphs.is_signed(node):
        return "sound"
    known = _AUTHENTICATIONS.get(node.type)
    chosen = node.parameters.get("incomingAuthentication" if node.is_a("wait") else "authentication", "none")
    if known is None or chosen == "none":
        return ""
    if not isinstance(chosen, str) or chosen not in known:
        return "authentication"
    credential = mapping(node.credentials.get(known[chosen]))
    return "sound" if not known[chosen] or credential.get("id") or credential.get("name") else "no-credential"


def examine(graph: Graph, node: Node, env_blocked: Optional[bool]) -> Optional[Check]:
    """What the node is worth as a check of the secret; None where it is something else."""
    if not node.is_a("if", "filter", "switch"):
        return None
    outputs = _Reader(graph, node, env_blocked).outputs()
    implied = {port for port, formula in outputs.items() if _implied(formula, True)}
    defects = {port: _defects(formula) for port, formula in outputs.items()}
    if not any(defects.values()) and not any(_compares(formula) for formula in outputs.values()):
        return None
    if node.disabled:
        return Check(frozenset(), {None: "disabled"}, frozenset())
    why: Dict[Optional[int], str] = {None: "other-output"}
    for port in outputs:
        if port in implied:
            leak = _leak(node, port)
            if leak:
                why[port] = leak
        elif implied and not node.is_a("switch"):
            why[port] = "false-branch" if port else "inverted"
        elif implied:
            why[port] = "other-output"
        else:
            why[port] = next((defect for defect in _TELLING if defect in defects[port]), "unproven")
    notes = frozenset(note for formula in outputs.values() for note in _notes(formula))
    callers = frozenset(caller for formula in outputs.values() for caller in _callers(formula))
    return Check(frozenset(implied - {port for port in why if port is not None}), why, notes, callers)


def _leak(node: Node, port: int) -> str:
    """How an output that only the secret opens is fed all the same."""
    if port == 0 and node.always_outputs:
        return "always-output"
    return "continues" if node.continues and port == _port_of_errors(node) else ""


def _port_of_errors(node: Node) -> int:
    """Where the engine sends an item whose conditions could not be worked out."""
    return 1 if node.is_a("if", "filter") and node.version >= 2 else 0


def _implied(formula: Formula, truth: bool) -> bool:
    """Whether the formula can only be ``truth`` where the secret was right (or not at all)."""
    if formula.kind == "match":
        return truth and not formula.defect
    if formula.kind == "not":
        return _implied(formula.parts[0], not truth)
    if formula.kind == "truthy":
        return truth and _implied(formula.parts[0], True)
    if formula.kind in ("and", "or"):
        one_is_enough = (formula.kind == "and") == truth
        implied = [_implied(part, truth) for part in formula.parts]
        return any(implied) if one_is_enough else all(implied)
    return False


def _compares(formula: Formula) -> bool:
    """Whether a secret is compared anywhere in it."""
    return formula.kind == "match" or any(_compares(part) for part in formula.parts)


def _defects(formula: Formula) -> List[str]:
    own = [formula.defect] if formula.defect else []
    if formula.kind == "or" and len({_implied(part, True) for part in formula.parts}) > 1:
        own.append("any")
    return own + [defect for part in formula.parts for defect in _defects(part)]


def _notes(formula: Formula) -> Set[str]:
    return set(formula.notes).union(*(_notes(part) for part in formula.parts))


def _callers(formula: Formula) -> Set[str]:
    return set(formula.callers).union(*(_callers(part) for part in formula.parts))


def _unrelated(formula: Formula) -> Formula:
    """The same without what only matters where a secret is compared."""
    parts = tuple(_unrelated(part) for part in formula.parts)
    return formula._replace(parts=parts, defect="" if formula.kind in ("other", "filled") else formula.defect)


class _Reader:
    """Reads the conditions of one node."""

    def __init__(self, graph: Graph, node: Node, env_blocked: Optional[bool]):
        self.graph, self.node, self.env_blocked = graph, node, env_blocked

    def outputs(self) -> Dict[int, Formula]:
        """What is true of an item that leaves by each output."""
        parameters = self.node.parameters
        if self.node.is_a("switch"):
            return self.rules()
        if self.node.version >= 2:
            whole = self.filter(parameters.get("conditions"))
        else:
            combine = parameters.get("combineOperation", "all") if self.node.is_a("if") else \
                parameters.get("combineConditions", "AND")
            whole = self.first_version(parameters.get("conditions"), combine)
        return {0: whole, 1: Formula("not", (whole,))}

    def rules(self) -> Dict[int, Formula]:
        """A Switch: the rule of each output; where the rest goes too, nothing is known."""
        parameters = self.node.parameters
        other = Formula("other")
        if parameters.get("mode", "rules") != "rules":
            return {0: other._replace(defect="unproven")}
        found: Dict[int, Formula] = {}
        rules = mapping(parameters.get("rules"))
        if self.node.version >= 3:
            fallback = mapping(parameters.get("options")).get("fallbackOutput", "none")
            for port, rule in enumerate(listing(rules.get("values"))):
                found[port] = self.filter(mapping(rule).get("conditions"))
            fallback = len(found) if fallback == "extra" else fallback
        else:
            fallback = parameters.get("fallbackOutput", -1)
            text = parameters.get("dataType", "number") == "string"
            for position, rule in enumerate(mapping(rule) for rule in listing(rules.get("rules"))):
                port = position if self.node.version >= 2 else rule.get("output", 0)
                formula = self.compare("string" if text else "number", rule.get("operation", "equal"),
                                       parameters.get("value1"), rule.get("value2"))
                if isinstance(port, int):
                    found[port] = Formula("or", (found[port], formula)) if port in found else formula
        if not isinstance(fallback, int) and fallback != "none":
            return {port: other._replace(defect="unproven") for port in found}
        if fallback in found:
            found[fallback] = Formula("or", (found[fallback], other._replace(defect="fallback")))
        return found

    def first_version(self, conditions: Any, combine: Any) -> Formula:
        if not isinstance(conditions, dict) and conditions is not None:
            return Formula("other", defect="unproven")
        parts = []
        for kind in ("boolean", "dateTime", "number", "string"):
            for raw in listing(mapping(conditions).get(kind)):
                condition = mapping(raw)
                default = {"boolean": False, "string": ""}.get(kind)
                operation = condition.get("operation", "equal" if kind in ("boolean", "string") else "")
                parts.append(self.compare(kind, operation, condition.get("value1", default),
                                          condition.get("value2", default)))
        return _combined("and" if combine in ("all", "AND") else "or", parts)

    def filter(self, conditions: Any) -> Formula:
        """The conditions of version 2 and later. Where a part of them is missing, n8n lets everything pass."""
        if not isinstance(conditions, dict) and conditions is not None:
            return Formula("other", defect="unproven")
        conditions = mapping(conditions)
        combine = conditions.get("combinator")
        if combine not in ("and", "or"):
            return Formula("constant", defect="empty")
        parts = []
        options = mapping(conditions.get("options"))
        for raw in listing(conditions.get("conditions")):
            condition, operator = mapping(raw), mapping(mapping(raw).get("operator"))
            formula = self.compare(operator.get("type"), operator.get("operation"), condition.get("leftValue"),
                                   condition.get("rightValue"))
            if formula.kind == "match" and options.get("caseSensitive") is False:
                formula = formula._replace(notes=formula.notes | {"ignores-case"})
            parts.append(formula)
        return _combined(combine, parts)

    def compare(self, kind: Any, operation: Any, left: Any, right: Any) -> Formula:
        """One condition."""
        formula = self.condition(kind, operation, parse(left), parse(right))
        concerned = any(_MENTIONS.search(code) for code in segments(left) + segments(right))
        return formula if concerned else _unrelated(formula)

    def condition(self, kind: Any, operation: Any, left: Tree, right: Tree) -> Formula:
        is_true = operation == "true" or (operation in ("equal", "equals") and right == Tree("const", True))
        if kind == "boolean" and is_true:
            return Formula("truthy", (self.code(left, 0),))
        if left.kind == right.kind == "const":
            return Formula("constant", defect="constant")
        if kind == "string" and operation in _EQUAL:
            return self.equality(left, right, _EQUAL[operation])
        if kind == "string" and operation in _FILLED:
            return self.filled(left)
        return Formula("other", defect="type" if operation in _EQUAL else "operation")

    def filled(self, tree: Tree) -> Formula:
        """That something is there; of the secret on either side it tells that the comparison is not of two nothings."""
        found = self.origins(tree)
        known = found and all(origin.kind in ("request", "env", "process", "vars") for origin in found)
        return Formula("filled" if known else "other", defect="present-only")

    def code(self, tree: Tree, depth: int) -> Formula:
        """An expression that is itself a condition: a === b && c."""
        if depth > _DEEPEST:
            return Formula("other", defect="unproven")
        if tree.kind == "const":
            return Formula("constant", defect="constant")
        if tree.kind == "not":
            return Formula("not", (self.code(tree.parts[0], depth + 1),))
        if tree.kind == "binary" and tree.value in ("&&", "||"):
            parts = [self.code(part, depth + 1) for part in tree.parts]
            return _combined("and" if tree.value == "&&" else "or", parts)
        if tree.kind == "binary" and tree.value in ("===", "==", "!==", "!="):
            return self.equality(tree.parts[0], tree.parts[1], tree.value[0] == "=")
        return self.filled(tree)

    def origins(self, tree: Tree) -> Set[Origin]:
        return origins(self.graph, self.node, tree)

    def equality(self, left: Tree, right: Tree, equal: bool) -> Formula:
        formula = self.match(unwrap(left), unwrap(right))
        return formula if equal else Formula("not", (formula,))

    def match(self, left: Tree, right: Tree) -> Formula:
        """Whether two values that are equal tell that the caller knows the secret."""
        if left == right and left != OPAQUE:
            return Formula("constant", defect="constant" if left.kind == "const" else "self")
        sides = [self.origins(left), self.origins(right)]
        kinds = [{origin.kind for origin in side} for side in sides]
        if kinds[0] == kinds[1] == {"request"}:
            return Formula("other", defect="both-request")
        if {"request"} not in kinds:
            if "opaque" in kinds[0] | kinds[1] or "nowhere" in kinds[0] | kinds[1]:
                return Formula("other", defect="unproven")
            return Formula("other", defect="no-request")
        position = kinds.index({"request"})
        asked, known = sides[position], sides[1 - position]
        return self.secret(asked, known)

    def secret(self, asked: Set[Origin], known: Set[Origin]) -> Formula:
        """What the caller sent, against what only those who may call should know."""
        named = all(SECRET_NAME.search("/".join(origin.path)) for origin in asked)
        notes = set()
        for origin in known:
            if origin.kind == "const" and isinstance(origin.value, str) and origin.value.strip():
                if not named or not all(origin.path[0] == "headers" or _SURELY_SECRET.search(origin.path[-1])
                                        for origin in asked):
                    return Formula("other")
                notes.add("literal")
            elif origin.kind == "const":
                return Formula("match" if named else "other", defect="empty-value" if named else "")
            elif origin.kind == "process" and self.env_blocked:
                return Formula("match", defect="blank")
            elif origin.kind in ("env", "process", "vars") and not named and not SECRET_NAME.search(origin.path[0]):
                return Formula("match", defect="not-secret")
            elif origin.kind == "vars":
                return Formula("match", defect="variables")
            elif origin.kind in ("env", "process", "hmac"):
                notes.add("open-when-empty")
            else:
                return Formula("match", defect="unproven")
        if any(origin.path[0] in ("query", "params") for origin in asked):
            notes.add("in-url")
        if any(origin.path[0] == "headers" and origin.path[-1] != origin.path[-1].lower() for origin in asked):
            notes.add("header-case")
        return Formula("match", notes=frozenset(notes), callers=frozenset(origin.value for origin in asked))


def _combined(kind: str, parts: List[Formula]) -> Formula:
    if not parts:
        return Formula("constant", defect="empty")
    if kind == "or" and sum("open-when-empty" in part.notes for part in parts) > 1:
        # One variable is known to be set, for .env must hold it; of another that is not known.
        parts = [part._replace(defect=part.defect or "several") for part in parts]
    if kind == "and" and any(part.kind == "filled" for part in parts):
        parts = [_not_empty(part) for part in parts]
    return Formula(kind, tuple(parts))


def _not_empty(formula: Formula) -> Formula:
    """The same, now that it is known that what is compared is not empty."""
    parts = tuple(_not_empty(part) for part in formula.parts)
    defect = "" if formula.defect in ("variables", "several") else formula.defect
    return formula._replace(parts=parts, defect=defect, notes=formula.notes - {"open-when-empty"})
