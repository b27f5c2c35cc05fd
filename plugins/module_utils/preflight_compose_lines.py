# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Which line of which file something of a resolved Compose project comes from.

The standard library reads no YAML. This reads what Compose files are made of, for positions only: what it does not
understand has no position, and nothing is judged by it.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .preflight_compose_common import Path
from .preflight_compose_variables import template

_PROPERTY = re.compile(r"[&!][^\s,\[\]{}]*(?:\s+|\Z)")
_PLAIN_KEY = re.compile(r"([^\s'\"\[\]{},#&*!|>%@`?:-](?:[^:#]|:(?=\S)|(?<=\S)#)*?|-[^\s:][^:\s]*|<<)\s*:(?=\s|\Z)")
_QUOTED_KEY = re.compile(r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*')\s*:(?=\s|\Z)")
_BLOCK_SCALAR = re.compile(r"[|>][-+0-9]*\s*(?:#.*)?\Z")
_MOST_BYTES, _MOST_FILES = 4 << 20, 200
Place = Tuple[str, int]


class Node(NamedTuple):
    """A value and the line it starts on. ``value``: a dict of name -> (line, Node), a list of Nodes, or a text."""

    line: int
    value: Any
    alias: bool = False


class Source(NamedTuple):
    """One file, with what its anchors stand for."""

    path: str
    root: Node
    anchors: Mapping[str, Node]
    # One of the files that were named, which are laid over one another in their order.
    named: bool = True


def read(files: Sequence[str], values: Mapping[str, str]) -> List[Source]:
    """The files, and those that they include or extend, their paths by ``values``. What cannot be read has no root."""
    sources: List[Source] = []
    seen = set()
    waiting = list(files)
    while waiting and len(sources) < _MOST_FILES:
        path = waiting.pop(0)
        if os.path.abspath(path) in seen:
            continue
        seen.add(os.path.abspath(path))
        source = _read(path)._replace(named=path in files)
        sources.append(source)
        directory = os.path.dirname(path)
        waiting.extend(os.path.join(directory, template(other).expanded(values)) for other in _others(source))
    return sources


def parse(path: str, text: str) -> Source:
    """One file; with no root where it is not understood."""
    reader = _Reader(text)
    try:
        return Source(path, reader.document(), reader.anchors)
    except (ValueError, IndexError, RecursionError):
        return Source(path, Node(0, None), {})


class _Reached(NamedTuple):
    """How far along a path a walk came: the node there and where it stands. Line 0: nowhere."""

    depth: int
    node: Node
    file: str = ""
    line: int = 0


def find(sources: Sequence[Source], path: Path) -> Optional[Place]:
    """The file and line of what is at ``path``; where that cannot be told, of the service that it belongs to."""
    reached = [(source.named, _walk(sources, source, path, 0)) for source in sources]
    whole = [(named, end) for named, end in reached if end.depth == len(path) and end.line]
    if whole:
        # Of what several files set, the last one that is named counts.
        best = ([end for named, end in whole if named] or [end for _named, end in whole])[-1]
        return best.file, best.line
    deepest = max((end.depth for _named, end in reached), default=0)
    partly = [end for _named, end in reached if end.depth == deepest and end.line]
    if deepest >= 2 and len(partly) == 1:
        return partly[0].file, partly[0].line
    return find(sources, path[:2]) if len(path) > 2 else None


def text_at(sources: Sequence[Source], path: Path) -> Optional[str]:
    """The text that stands at ``path``, variables and all; None where that cannot be told."""
    for source in sources:
        end = _walk(sources, source, path, 0)
        if end.depth == len(path) and isinstance(end.node.value, str) and not end.node.alias:
            head, equals, value = end.node.value.partition("=")
            return value if equals and head == path[-1] else end.node.value
    return None


def list_at(sources: Sequence[Source], path: Path) -> Optional[List[str]]:
    """The same of a list of texts."""
    for source in sources:
        end = _walk(sources, source, path, 0)
        if end.depth == len(path) and isinstance(end.node.value, list):
            return [item.value for item in end.node.value if isinstance(item.value, str) and not item.alias]
    return None


def _walk(sources: Sequence[Source], source: Source, path: Path, hops: int) -> _Reached:
    end = _Reached(0, source.root)
    for depth, key in enumerate(path):
        step = _step(source, end.node, key, path[depth - 1] if depth else "", 0)
        if step is None:
            inherited = _extended(sources, source, path, depth, hops)
            return inherited if inherited and inherited.depth > depth else end
        end = _Reached(depth + 1, step[1], source.path, step[0])
    return end


def _step(source: Source, node: Node, key: str, parent: str, hops: int) -> Optional[Tuple[int, Node]]:
    """One step down: (the line, the node there)."""
    if node.alias:
        target = source.anchors.get(node.value)
        return _step(source, target, key, parent, hops + 1) if target is not None and hops < 20 else None
    if isinstance(node.value, dict):
        if key in node.value:
            return node.value[key]
        merged = node.value.get("<<")
        if merged is None or hops >= 20:
            return None
        others = merged[1].value if isinstance(merged[1].value, list) else [merged[1]]
        return next((step for step in (_step(source, other, key, parent, hops + 1) for other in others) if step), None)
    if isinstance(node.value, list):
        for item in node.value:
            if _is_item(item, key, parent):
                return item.line, item
            # A list of hooks, say: their keys are spoken of as if there were one.
            if isinstance(item.value, dict) and key in item.value and parent not in ("ports", "volumes"):
                return item.value[key]
    return None


def _is_item(item: Node, key: str, parent: str) -> bool:
    """Whether an item of a list is the one that ``key`` speaks of."""
    if isinstance(item.value, dict):
        named = (item.value.get(name) for name in ("published", "target", "source"))
        return any(each is not None and each[1].value == key for each in named)
    if not isinstance(item.value, str) or item.alias:
        return False
    if parent == "ports":
        return key.partition("-")[0] in _port_numbers(item.value)
    if parent in ("volumes", "devices"):
        return key in item.value.split(":")
    return item.value == key or item.value.startswith(key + "=")


def _port_numbers(text: str) -> List[str]:
    """The ports that an entry such as 127.0.0.1:8000-8002:80/tcp speaks of, the ends of ranges included."""
    ports = text.partition("/")[0].rsplit(":", 2)[-2:]
    numbers = [number for port in ports for number in port.split("-")]
    return [*ports, *(number for number in numbers if number.isdigit())]


def _extended(sources: Sequence[Source], source: Source, path: Path, depth: int, hops: int) -> Optional[_Reached]:
    """What the service takes from the one that it extends."""
    if depth < 2 or path[0] != "services" or hops >= 20:
        return None
    service = _step(source, source.root, "services", "", 0)
    service = _step(source, service[1], path[1], "services", 0) if service else None
    extends = _step(source, service[1], "extends", path[1], 0) if service else None
    if extends is None:
        return None
    name, file = extends[1].value, ""
    if isinstance(name, dict):
        file = _scalar(name.get("file"))
        name = _scalar(name.get("service"))
    if not isinstance(name, str):
        return None
    where = os.path.abspath(os.path.join(os.path.dirname(source.path), file)) if file else os.path.abspath(source.path)
    for other in sources:
        # A path with a variable in it may be that of any other file.
        if os.path.abspath(other.path) == where or ("$" in file and other is not source):
            return _walk(sources, other, ("services", name, *path[2:]), hops + 1)
    return None


def _others(source: Source) -> Iterator[str]:
    """Paths of the files that this one includes, and that its services extend."""
    top = source.root.value if isinstance(source.root.value, dict) else {}
    included = top.get("include", (0, Node(0, [])))[1].value
    for item in included if isinstance(included, list) else []:
        value = item.value.get("path", (0, Node(0, "")))[1].value if isinstance(item.value, dict) else item.value
        for path in [each.value for each in value] if isinstance(value, list) else [value]:
            if isinstance(path, str) and path:
                yield path
    services = top.get("services", (0, Node(0, {})))[1].value
    for _line, service in services.values() if isinstance(services, dict) else ():
        extends = service.value.get("extends") if isinstance(service.value, dict) else None
        file = _scalar(extends[1].value.get("file")) if extends and isinstance(extends[1].value, dict) else ""
        if file:
            yield file


def _scalar(entry: Any) -> str:
    return entry[1].value if entry is not None and isinstance(entry[1].value, str) else ""


def _read(path: str) -> Source:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            text = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError):
        return Source(path, Node(0, None), {})
    return parse(path, text if len(text) <= _MOST_BYTES else "")


class _Reader:
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
        node = self.block(0)
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

    def block(self, least: int) -> Node:
        """The value that starts on the next line, if that is indented enough."""
        indent = self.skip()
        if indent is None or indent < least:
            return Node(self.at + 1, "")
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
                items.append(self.block(column))
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
            return self.sequence(parent) if same else self.block(parent + 1)
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
