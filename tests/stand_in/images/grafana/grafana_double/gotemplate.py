"""As much of Go's templates as messages here use. What it does not know is an error, never an empty text."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable
from decimal import Decimal
from typing import Any

ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<variable>\$\w*(?:\.\w+)*)"""
    r"""|(?P<field>\.\w+(?:\.\w+)*|\.)|(?P<word>\w+)|(?P<sign>:=|[=|(),]))"""
)
WORD = string.ascii_letters
# Grafana puts these before the template of an annotation.
RULE_VARIABLES = "{{- $labels := .Labels -}}{{- $values := .Values -}}{{- $value := .Value -}}"


class TemplateError(Exception):
    """A template that Grafana would refuse, or that the double does not know."""


class Record(dict[str, Any]):
    """A structure: its fields are known, and another one is an error. (A plain dict is a map: "" for what it lacks.)"""


class Value(float):
    """A query's number as an annotation sees it: printed in full."""


def show(value: Any) -> str:
    """As Go's fmt prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Value):
        return f"{Decimal(repr(float(value))):f}".removesuffix(".0") if math.isfinite(value) else number(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return f"[{' '.join(map(show, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{show(value[key])}' for key in sorted(value))}]"
    return "<no value>" if value is None else str(value)


def number(value: float) -> str:
    """The fewest digits that tell it, with an exponent from a million on."""
    if math.isnan(value) or math.isinf(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    digits = next(f"{value:.{count}e}" for count in range(17) if float(f"{value:.{count}e}") == value)
    exponent = int(digits.partition("e")[2])
    return repr(float(value)).removesuffix(".0") if -5 < exponent < 6 else digits


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "not": lambda value: not value,
    "eq": lambda value, *others: any(value == other for other in others),
    "ne": lambda value, other: value != other,
    "lt": lambda value, other: value < other,
    "le": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "ge": lambda value, other: value >= other,
    "len": len,
    "index": lambda value, key: value[key] if isinstance(value, list) else field(value, key),
    "join": lambda separator, values: separator.join(map(show, values)),
    "toUpper": lambda text: text.upper(),
}


def field(value: Any, name: str) -> Any:
    if isinstance(value, Record):
        if name not in value:
            raise TemplateError(f"no field {name}")
        return value[name]
    if isinstance(value, dict):
        if name == "SortedPairs":
            return [Record(Name=key, Value=value[key]) for key in sorted(value)]
        return value.get(name, "")
    if isinstance(value, list) and name in ("Firing", "Resolved"):
        return [alert for alert in value if alert["Status"] == name.lower()]
    if isinstance(value, list) and name in ("Names", "Values"):
        return [pair[name.removesuffix("s")] for pair in value]
    if isinstance(value, Value) and name == "Value":
        return float(value)
    raise TemplateError(f"no field {name} in {type(value).__name__}")


# A node writes its text, given dot and the variables.
Node = Callable[[Any, dict[str, Any]], str]
Expression = Callable[[Any, dict[str, Any]], Any]


class Templates:
    """Named templates, which may call each other."""

    def __init__(self) -> None:
        self._named: dict[str, Node] = {}

    def parse(self, text: str) -> Node:
        """Keeps what is defined in the text, and gives what is to be written besides."""
        return _Parser(text, self._named).whole()

    def expand(self, text: str, dot: Any) -> str:
        return self.parse(text)(dot, {"$": dot})


class _Parser:
    def __init__(self, text: str, named: dict[str, Node]) -> None:
        self._named = named
        self._parts = list(_split(text))

    def whole(self) -> Node:
        node, end = self._block()
        if end:
            raise TemplateError(f"unexpected {{{{{end}}}}}")
        return node

    def _block(self) -> tuple[Node, str]:
        """Up to `end`, `else` or the end of the text: what is written, and what it ended with."""
        nodes: list[Node] = []
        while self._parts:
            is_action, content = self._parts.pop(0)
            if not is_action:
                nodes.append(_text(content))
                continue
            if content.startswith("/*"):
                continue
            word = content[:len(content) - len(content.lstrip(WORD))]
            if word in ("end", "else"):
                return _sequence(nodes), content
            nodes.append(self._action(word, content))
        return _sequence(nodes), ""

    def _action(self, word: str, content: str) -> Node:
        rest = content[len(word):]
        if word == "define":
            name = _string(rest.strip())
            self._named[name] = self._closed()
            return _sequence([])
        if word == "template":
            return self._template(rest.strip())
        if word == "if":
            return self._if(rest)
        if word == "range":
            return self._range(rest)
        if word == "with":
            pipeline, (body, otherwise) = _pipeline(rest), self._branches()
            return lambda dot, variables: (
                body(value, variables) if (value := pipeline(dot, variables)) else otherwise(dot, variables)
            )
        pipeline = _pipeline(content)
        return lambda dot, variables: show(pipeline(dot, variables))

    def _template(self, rest: str) -> Node:
        quoted = re.match(r'"[^"]*"', rest)
        if not quoted:
            raise TemplateError(f"template needs a name: {rest}")
        name = _string(quoted[0])
        pipeline = _pipeline(rest[quoted.end():] or "nil")

        def call(dot: Any, variables: dict[str, Any]) -> str:
            if name not in self._named:
                raise TemplateError(f"template {name!r} is not defined")
            given = pipeline(dot, variables)
            return self._named[name](given, {"$": given})

        return call

    def _if(self, rest: str) -> Node:
        condition, (body, otherwise) = _pipeline(rest), self._branches()
        return lambda dot, variables: (body if condition(dot, variables) else otherwise)(dot, variables)

    def _range(self, rest: str) -> Node:
        named = re.match(r"\s*(?:(\$\w+)\s*,\s*)?(\$\w+)\s*:=", rest)
        pipeline, (body, otherwise) = _pipeline(rest[named.end():] if named else rest), self._branches()

        def each(dot: Any, variables: dict[str, Any]) -> str:
            found = pipeline(dot, variables)
            pairs = [(key, found[key]) for key in sorted(found)] if isinstance(found, dict) else list(enumerate(found))
            text = ""
            for key, value in pairs:
                own = dict(variables)
                if named:
                    own |= {name: item for name, item in ((named[1], key), (named[2], value)) if name}
                text += body(value, own)
            return text if pairs else otherwise(dot, variables)

        return each

    def _branches(self) -> tuple[Node, Node]:
        body, end = self._block()
        if end == "end":
            return body, _sequence([])
        if end == "else":
            return body, self._closed()
        if end.startswith("else if"):
            return body, self._if(end.removeprefix("else if"))
        raise TemplateError(f"an end is missing, or {end!r} is unknown")

    def _closed(self) -> Node:
        body, end = self._block()
        if end != "end":
            raise TemplateError("an end is missing")
        return body


def _split(text: str) -> list[tuple[bool, str]]:
    """Texts and actions in turn, white space trimmed where a dash says so."""
    parts: list[tuple[bool, str]] = []
    at, trim = 0, False
    for match in ACTION.finditer(text):
        before = text[at:match.start()]
        before = before.lstrip() if trim else before
        parts.append((False, before.rstrip() if match[1] else before))
        parts.append((True, match[2]))
        at, trim = match.end(), bool(match[3])
    rest = text[at:].lstrip() if trim else text[at:]
    if "{{" in rest:
        raise TemplateError("an action is not closed")
    return [*parts, (False, rest)]


def _text(text: str) -> Node:
    return lambda dot, variables: text


def _sequence(nodes: list[Node]) -> Node:
    # Variables set in a block are seen in the rest of it, and changed outside only by `=`.
    return lambda dot, variables: "".join([node(dot, variables) for node in nodes])


def _string(token: str) -> str:
    if token.startswith("`"):
        return token[1:-1]
    if not re.fullmatch(r'"(?:[^"\\]|\\.)*"', token):
        raise TemplateError(f"not a quoted string: {token}")
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), token[1:-1])


def _pipeline(text: str) -> Expression:
    tokens: list[tuple[str, str]] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match or match.lastgroup is None:
            raise TemplateError(f"unknown words in {{{{{text}}}}}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    if len(tokens) > 1 and tokens[0][0] == "variable" and tokens[1] in (("sign", ":="), ("sign", "=")):
        name, value = tokens[0][1], _piped(tokens[2:])

        def assign(dot: Any, variables: dict[str, Any]) -> str:
            variables[name] = value(dot, variables)
            return ""

        return assign
    return _piped(tokens)


def _piped(tokens: list[tuple[str, str]]) -> Expression:
    expression, rest = _commands(tokens)
    if rest:
        raise TemplateError(f"unexpected {rest[0][1]}")
    return expression


def _commands(tokens: list[tuple[str, str]]) -> tuple[Expression, list[tuple[str, str]]]:
    """Commands joined by `|`, up to a closing parenthesis: each gets what the one before gave as its last argument."""
    expression: Expression | None = None
    while True:
        words: list[Expression] = []
        function = ""
        while tokens and tokens[0][1] not in ("|", ")") or tokens and tokens[0][0] == "string":
            kind, token = tokens[0]
            tokens = tokens[1:]
            if kind == "word" and token not in ("true", "false", "nil"):
                if words or function or token not in FUNCTIONS:
                    raise TemplateError(f"function {token!r} not defined")
                function = token
            elif token == "(" and kind == "sign":
                inner, tokens = _commands(tokens)
                if not tokens:
                    raise TemplateError("a parenthesis is not closed")
                tokens = tokens[1:]
                if tokens and tokens[0][0] == "field" and tokens[0][1] != ".":
                    inner, tokens = _fields(inner, tokens[0][1].split(".")[1:]), tokens[1:]
                words.append(inner)
            else:
                words.append(_operand(kind, token))
        if not function and not words:
            raise TemplateError("a value is missing")
        expression = _command(function, words, expression)
        if not tokens or tokens[0][1] == ")":
            return expression, tokens
        tokens = tokens[1:]


def _command(function: str, words: list[Expression], before: Expression | None) -> Expression:
    arguments = [*words, before] if before else words
    if function:
        called = FUNCTIONS[function]

        def call(dot: Any, variables: dict[str, Any]) -> Any:
            try:
                return called(*(argument(dot, variables) for argument in arguments))
            except (TypeError, ValueError, IndexError, AttributeError) as error:
                raise TemplateError(f"{function}: {error}") from error

        return call
    if len(arguments) != 1:
        raise TemplateError("a value is not a function, or nothing is there")
    return arguments[0]


def _operand(kind: str, token: str) -> Expression:
    if kind == "string":
        text = _string(token)
        return lambda dot, variables: text
    if kind == "number":
        value = float(token) if "." in token else int(token)
        return lambda dot, variables: value
    if kind == "word":
        constant = {"true": True, "false": False, "nil": None}[token]
        return lambda dot, variables: constant
    if kind == "field":
        return _fields(lambda dot, variables: dot, [name for name in token.split(".") if name])
    if kind == "variable":
        name, *names = token.split(".")

        def variable(dot: Any, variables: dict[str, Any]) -> Any:
            if name not in variables:
                raise TemplateError(f"undefined variable {name}")
            return variables[name]

        return _fields(variable, names)
    raise TemplateError(f"unexpected {token}")


def _fields(of: Expression, names: list[str]) -> Expression:
    def get(dot: Any, variables: dict[str, Any]) -> Any:
        value = of(dot, variables)
        for name in names:
            value = field(value, name)
        return value

    return get
