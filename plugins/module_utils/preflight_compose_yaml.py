# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Where things stand in a YAML file. The standard library reads no YAML, and Compose, which does, tells no positions.

This reads what Compose files are made of: nested mappings and lists, flow collections, quoted and block texts, anchors
and aliases. Nothing is judged by it that Compose itself can tell.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

_PROPERTY = re.compile(r"[&!][^\s,\[\]{}]*(?:\s+|\Z)")
_PLAIN_KEY = re.compile(r"([^\s'\"\[\]{},#&*!|>%@`?:-](?:[^:#]|:(?=\S)|(?<=\S)#)*?|-[^\s:][^:\s]*|<<)\s*:(?=\s|\Z)")
_QUOTED_KEY = re.compile(r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*')\s*:(?=\s|\Z)")
_BLOCK_SCALAR = re.compile(r"[|>][-+0-9]*\s*(?:#.*)?\Z")


class Node(NamedTuple):
    """A value and the line it starts on. ``value``: a dict of name -> (line, Node), a list of Nodes, or a text."""

    line: int
    value: Any
    alias: bool = False


class Reader:
    """Reads one document. Raises ValueError or IndexError at what it does not understand."""

    def __init__(self, text: str):
        self.lines = text.split("\n")
        self.at = 0
        self.anchors: Dict[str, Node] = {}

    def document(self) -> Node:
        for number, line in enumerate(self.lines):
            if line.startswith("%"):
                self.lines[number] = ""
            elif re.match(r"---(\s|\Z)", line):
                if any(each.strip() and not each.lstrip().startswith("#") for each in self.lines[:number]):
                    # What a second document changes is beyond this.
                    raise ValueError("several documents")
                self.lines[number] = "   " + line[3:]
            elif re.match(r"\.\.\.(\s|\Z)", line):
                del self.lines[number:]
                break
        node = self.block(0, 1)
        if self.skip() is not None:
            raise ValueError("more than one value")
        return node

    def skip(self) -> Optional[int]:
        """Goes to the next line that says something, and returns its indentation; None at the end."""
        while self.at < len(self.lines):
            text = self.lines[self.at].strip()
            if text and not text.startswith("#"):
                return len(self.lines[self.at]) - len(self.lines[self.at].lstrip(" "))
            self.at += 1
        return None

    def block(self, least: int, line: int) -> Node:
        """The value that starts on the next line, if that is indented enough; otherwise ``line`` has an empty one."""
        indent = self.skip()
        if indent is None or indent < least:
            return Node(line, "")
        text = self.lines[self.at][indent:]
        if text.startswith("\t"):
            raise ValueError("a tab")
        if text == "-" or text.startswith(("- ", "-\t")):
            return self.sequence(indent)
        if _key(text):
            return self.mapping(indent)
        # A scalar, a flow collection or an alias on lines of its own.
        return self.value(indent, least - 1)

    def mapping(self, indent: int) -> Node:
        entries: Dict[str, Tuple[int, Node]] = {}
        start = self.at + 1
        while self.skip() == indent:
            line, text = self.at + 1, self.lines[self.at]
            match = _key(text[indent:])
            if match is None:
                raise ValueError("not a key")
            name, length = match
            entries[name] = (line, self.value(indent + length, indent, in_mapping=True))
        following = self.skip()
        if following is not None and following > indent:
            raise ValueError("indented too far")
        return Node(start, entries)

    def sequence(self, indent: int) -> Node:
        items: List[Node] = []
        start = self.at + 1
        while self.skip() == indent and re.match(r"-(\s|\Z)", self.lines[self.at][indent:]):
            text = self.lines[self.at]
            rest = text[indent + 1:]
            column = indent + 1 + len(rest) - len(rest.lstrip())
            inner = _PROPERTY.sub("", text[column:]) if text[column:column + 1] in ("&", "!") else text[column:]
            if inner.startswith("- ") or inner == "-" or (_key(inner) and inner == text[column:]):
                # The item's own collection starts on the same line, as if the dash were a space.
                self.lines[self.at] = " " * column + text[column:]
                items.append(self.block(column, self.at + 1))
            else:
                items.append(self.value(column, indent))
        return Node(start, items)

    def value(self, column: int, parent: int, in_mapping: bool = False) -> Node:
        """The value at ``column`` of this line; on the lines after it what is indented more than ``parent``."""
        line, text = self.at + 1, self.lines[self.at]
        column += len(text[column:]) - len(text[column:].lstrip())
        names = []
        while text[column:column + 1] in ("&", "!"):
            match = _PROPERTY.match(text, column)
            if match is None:
                raise ValueError("a property")
            if text[column] == "&":
                names.append(match.group(0)[1:].strip())
            column = match.end()
        node = self.plain_value(line, text[column:], column, parent, in_mapping)
        for name in names:
            self.anchors[name] = node
        return node

    def plain_value(self, line: int, rest: str, column: int, parent: int, in_mapping: bool) -> Node:
        if not rest.strip() or rest.startswith("#"):
            self.at += 1
            indent = self.skip()
            same = in_mapping and indent == parent and re.match(r"-(\s|\Z)", self.lines[self.at][parent:])
            return self.sequence(parent) if same else self.block(parent + 1, line)
        if rest[0] == "*":
            self.at += 1
            return Node(line, re.split(r"[\s#]", rest[1:])[0], alias=True)
        if _BLOCK_SCALAR.match(rest):
            return self.block_scalar(line, parent)
        if rest[0] in "{[\"'":
            return self.flow(line, column)
        return self.plain(line, rest, parent)

    def block_scalar(self, line: int, parent: int) -> Node:
        self.at += 1
        start = self.at
        while self.at < len(self.lines):
            text = self.lines[self.at]
            if text.strip() and len(text) - len(text.lstrip(" ")) <= parent:
                break
            self.at += 1
        return Node(line, "\n".join(text.strip() for text in self.lines[start:self.at]))

    def plain(self, line: int, rest: str, parent: int) -> Node:
        parts = [re.split(r"\s#", rest, maxsplit=1)[0].strip()]
        self.at += 1
        while True:
            indent = self.skip()
            if indent is None or indent <= parent:
                return Node(line, " ".join(parts))
            parts.append(re.split(r"\s#", self.lines[self.at], maxsplit=1)[0].strip())
            self.at += 1

    def flow(self, line: int, column: int) -> Node:
        """A flow collection or a quoted text. What follows it on its last line may only be a comment."""
        flow = _Flow(self.lines, line - 1, column)
        node = flow.value()
        rest = self.lines[flow.row][flow.column:].strip()
        if rest and not rest.startswith("#"):
            raise ValueError("text after a value")
        self.anchors.update(flow.anchors)
        self.at = flow.row + 1
        return node


class _Flow:
    """Reads {...}, [...] and quoted texts, over as many lines as they take."""

    def __init__(self, lines: List[str], row: int, column: int):
        self.lines, self.row, self.column = lines, row, column
        self.anchors: Dict[str, Node] = {}

    def space(self) -> None:
        """To the next character that says something. Raises IndexError at the end of the file."""
        while True:
            text = self.lines[self.row]
            while self.column < len(text) and text[self.column] in " \t\r":
                self.column += 1
            if self.column < len(text) and text[self.column] != "#":
                return
            self.row, self.column = self.row + 1, 0

    def peek(self) -> str:
        self.space()
        return self.lines[self.row][self.column]

    def value(self) -> Node:
        names = []
        while self.peek() in "&!":
            match = _PROPERTY.match(self.lines[self.row], self.column)
            if match is None:
                raise ValueError("a property")
            if match.group(0)[0] == "&":
                names.append(match.group(0)[1:].strip())
            self.column = match.end()
        first, line = self.peek(), self.row + 1
        readers: Dict[str, Callable[[], Any]] = {
            "{": self.mapping, "[": self.sequence, '"': self.quoted, "'": self.quoted}
        if first in readers:
            node = Node(line, readers[first]())
        else:
            text = self.plain()
            node = Node(line, text[1:], alias=True) if text.startswith("*") else Node(line, text)
        for name in names:
            self.anchors[name] = node
        return node

    def mapping(self) -> Dict[str, Tuple[int, Node]]:
        entries: Dict[str, Tuple[int, Node]] = {}
        self.column += 1
        while self.peek() != "}":
            line = self.row + 1
            name = self.quoted() if self.peek() in "\"'" else self.plain()
            node = Node(line, "")
            if self.peek() == ":":
                self.column += 1
                if self.peek() not in ",}":
                    node = self.value()
            entries[name] = (line, node)
            self.comma("}")
        self.column += 1
        return entries

    def sequence(self) -> List[Node]:
        items: List[Node] = []
        self.column += 1
        while self.peek() != "]":
            line = self.row + 1
            node = self.value()
            if self.peek() == ":" and isinstance(node.value, str):
                # [name: value] is a mapping of one.
                self.column += 1
                node = Node(line, {node.value: (line, self.value())})
            items.append(node)
            self.comma("]")
        self.column += 1
        return items

    def comma(self, end: str) -> None:
        if self.peek() == ",":
            self.column += 1
        elif self.peek() != end:
            raise ValueError("no comma")

    def quoted(self) -> str:
        mark = self.peek()
        self.column += 1
        parts: List[str] = []
        while True:
            text = self.lines[self.row]
            if self.column >= len(text):
                parts.append(" ")
                self.row, self.column = self.row + 1, 0
                continue
            character = text[self.column]
            if mark == '"' and character == "\\":
                parts.append(text[self.column + 1:self.column + 2])
                self.column += 2
            elif character == mark and mark == "'" and text.startswith("''", self.column):
                parts.append("'")
                self.column += 2
            else:
                self.column += 1
                if character == mark:
                    return "".join(parts)
                parts.append(character)

    def plain(self) -> str:
        text, start = self.lines[self.row], self.column
        while self.column < len(text):
            character, following = text[self.column], text[self.column + 1:self.column + 2]
            if character in ",]}[{" or (character == ":" and following in ("", " ", "\t", ",", "]", "}")):
                break
            if character == "#" and text[self.column - 1:self.column] in (" ", "\t"):
                break
            self.column += 1
        if self.column == start:
            raise ValueError("nothing where a value should be")
        return text[start:self.column].strip()


def _key(text: str) -> Optional[Tuple[str, int]]:
    """The key that a line starts with, and the length of it with its colon; None: it is not one."""
    match = _QUOTED_KEY.match(text) or _PLAIN_KEY.match(text)
    if match is None:
        return None
    name = match.group(1)
    return (name[1:-1] if name[0] in "\"'" else name), match.end()
