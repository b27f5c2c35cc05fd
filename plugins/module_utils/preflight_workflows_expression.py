# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""n8n's expressions, as far as a check of a secret needs them: `={{ $json.headers['x-webhook-secret'] }}` as a tree.

Whatever is not understood is OPAQUE; nothing is ever evaluated.
"""

from __future__ import annotations

import re
from typing import Any, List, NamedTuple, Optional, Tuple

# What is longer or deeper than this compares nothing that a person would call a check of a secret.
_LONGEST, _DEEPEST = 2000, 40
_TOKEN = re.compile(r"""\s*(?:
    (?P<name>[A-Za-z_$][\w$]*) | (?P<number>\d+(?:\.\d+)?(?![\w$]))
    | (?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\$]|\\.)*`)
    | (?P<mark>===|!==|==|!=|\?\.|\?\?|&&|\|\||[!.,()\[\]])
)""", re.VERBOSE | re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}
_LEVELS = (("||", "??"), ("&&",), ("===", "!==", "==", "!="))


class Tree(NamedTuple):
    """A node of the tree: const and name (value), get (value is the key), call, not, binary (value is the sign)."""

    kind: str
    value: Any = None
    parts: Tuple[Tree, ...] = ()


OPAQUE = Tree("opaque")


class _NotUnderstood(Exception):
    pass


def is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("=")


def segments(value: Any) -> List[str]:
    """The code inside every ``{{ }}`` of a parameter; a parameter that does not begin with = has none."""
    found: List[str] = []
    start = value.find("{{") if is_expression(value) else -1
    while start >= 0:
        end = value.find("}}", start + 2)
        if end < 0:
            break
        found.append(value[start + 2:end])
        start = value.find("{{", end + 2)
    return found


def parse(value: Any) -> Tree:
    """A parameter's value as a tree."""
    if not is_expression(value):
        return Tree("const", value)
    text = value[1:]
    if "{{" not in text:
        return Tree("const", text)
    inner = text[2:-2]
    if not (text.startswith("{{") and text.endswith("}}")) or "{{" in inner or "}}" in inner:
        return OPAQUE
    return parse_code(inner)


def parse_code(code: str) -> Tree:
    if len(code) > _LONGEST:
        return OPAQUE
    try:
        return _Parser(code).whole()
    except _NotUnderstood:
        return OPAQUE


def unwrap(tree: Tree) -> Tree:
    """What is left of a value when what only tidies it is taken away: trim(), toString(), String(...), ?? ''."""
    while True:
        if tree.kind == "binary" and tree.value in ("??", "||") and tree.parts[1] in (Tree("const", ""), Tree("const")):
            tree = tree.parts[0]
        elif tree.kind == "call" and len(tree.parts) == 1 and tree.parts[0].kind == "get" and tree.parts[0].value in (
                "trim", "toString", "toLowerCase", "toUpperCase"):
            tree = tree.parts[0].parts[0]
        elif tree.kind == "call" and len(tree.parts) == 2 and tree.parts[0] == Tree("name", "String"):
            tree = tree.parts[1]
        else:
            return tree


def steps(tree: Tree) -> Tuple[Optional[str], List[Any]]:
    """``$('A').first().json.x`` as ("$", [("A",), "first", (), "json", "x"]); a call is the tuple of its constants."""
    found: List[Any] = []
    while tree.kind in ("get", "call"):
        if tree.kind == "get":
            found.append(tree.value)
        elif all(part.kind == "const" for part in tree.parts[1:]):
            found.append(tuple(part.value for part in tree.parts[1:]))
        else:
            return None, []
        tree = tree.parts[0]
    return (tree.value if tree.kind == "name" else None), found[::-1]


class _Parser:
    def __init__(self, code: str):
        self.tokens: List[Tuple[str, str]] = []
        self.depth = 0
        code = code.strip()
        at = 0
        while at < len(code):
            match = _TOKEN.match(code, at)
            if not match or match.lastgroup is None:
                raise _NotUnderstood
            self.tokens.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()
        self.tokens.reverse()

    def whole(self) -> Tree:
        tree = self.binary(0)
        if self.tokens:
            raise _NotUnderstood
        return tree

    def next_is(self, *marks: str) -> bool:
        return bool(self.tokens) and self.tokens[-1][0] == "mark" and self.tokens[-1][1] in marks

    def take(self, *marks: str) -> str:
        if not self.next_is(*marks):
            raise _NotUnderstood
        return self.tokens.pop()[1]

    def binary(self, level: int) -> Tree:
        if level == len(_LEVELS):
            return self.unary()
        self.depth += 1
        if self.depth > _DEEPEST * len(_LEVELS):
            raise _NotUnderstood
        tree = self.binary(level + 1)
        while self.next_is(*_LEVELS[level]):
            sign = self.take(*_LEVELS[level])
            tree = Tree("binary", sign, (tree, self.binary(level + 1)))
        self.depth -= 1
        return tree

    def unary(self) -> Tree:
        negations = 0
        while self.next_is("!"):
            self.take("!")
            negations += 1
        tree = self.postfix()
        for _again in range(min(negations, _DEEPEST)):
            tree = Tree("not", None, (tree,))
        return tree

    def postfix(self) -> Tree:
        tree = self.primary()
        while self.next_is(".", "?.", "[", "("):
            mark = self.take(".", "?.", "[", "(")
            if mark == "?." and self.next_is("[", "("):
                mark = self.take("[", "(")
            if mark in (".", "?."):
                tree = Tree("get", self.word(), (tree,))
            elif mark == "[":
                key = self.binary(0)
                self.take("]")
                if key.kind != "const" or not isinstance(key.value, (str, int)):
                    raise _NotUnderstood
                tree = Tree("get", str(key.value), (tree,))
            else:
                tree = Tree("call", None, (tree, *self.arguments()))
        return tree

    def word(self) -> str:
        if not self.tokens or self.tokens[-1][0] != "name":
            raise _NotUnderstood
        return self.tokens.pop()[1]

    def arguments(self) -> List[Tree]:
        given: List[Tree] = []
        while not self.next_is(")"):
            given.append(self.binary(0))
            if not self.next_is(")"):
                self.take(",")
        self.take(")")
        return given

    def primary(self) -> Tree:
        if self.next_is("("):
            self.take("(")
            tree = self.binary(0)
            self.take(")")
            return tree
        if not self.tokens:
            raise _NotUnderstood
        kind, text = self.tokens.pop()
        if kind == "string":
            return Tree("const", _ESCAPE.sub(lambda match: _ESCAPES.get(match.group(1), match.group(1)), text[1:-1]))
        if kind == "number":
            return Tree("const", float(text) if "." in text else int(text[:15]))
        if kind == "name":
            return Tree("const", _WORDS[text]) if text in _WORDS else Tree("name", text)
        raise _NotUnderstood
