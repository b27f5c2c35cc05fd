# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Which line of which file something of a resolved Compose project comes from.

What ``preflight_compose_yaml`` does not understand has no position.
"""

from __future__ import annotations

import os
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .preflight_compose_common import Path
from .preflight_compose_variables import template
from .preflight_compose_yaml import Node, Reader

_MOST_BYTES, _MOST_FILES = 4 << 20, 200
Place = Tuple[str, int]


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
    reader = Reader(text)
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
            if head == path[-1]:
                # KEY=VALUE in a list; KEY alone is handed on from outside.
                return value if equals else None
            return end.node.value
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
