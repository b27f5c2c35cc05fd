# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Values with variables in them, as Compose takes them apart: ${NAME}, $NAME, ${NAME:-default}, ${NAME:?message}."""

from __future__ import annotations

import re
from typing import Any, Iterator, List, Mapping, NamedTuple, Tuple

# Stands for a variable in the literal part of a value, and for a dollar sign that Compose hands on.
VARIABLE, DOLLAR = "\0", "\1"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_SHELL = re.compile(DOLLAR + r"(\w+|[@*#?]|\{[^}]*\}|\([^)]*\))")


class Reference(NamedTuple):
    """One variable. ``operator`` is "", ":-", "-", ":?", "?", ":+" or "+"; ``word`` is what follows it."""

    name: str
    operator: str
    word: Any

    @property
    def has_default(self) -> bool:
        return self.operator in (":-", "-")


class Template(NamedTuple):
    """A value in its parts: its literal text, with VARIABLE in the place of each reference, and those."""

    marked: str
    references: Tuple[Reference, ...] = ()

    def literal(self) -> str:
        """What is written out, with the dollar signs that were doubled."""
        return self.marked.replace(DOLLAR, "$")

    def in_shell(self) -> str:
        """The same where a shell reads it: its variables and commands are no literal text either."""
        return _SHELL.sub(VARIABLE, self.marked).replace(DOLLAR, "$")

    def with_defaults(self) -> Template:
        """As if no variable were set: the defaults are written out."""
        parts = self.marked.split(VARIABLE)
        words = [each.word.with_defaults().marked if each.operator in (":-", "-", ":+", "+") else VARIABLE
                 for each in self.references]
        return Template("".join(part + word for part, word in zip(parts, [*words, ""])))

    def expanded(self, values: Mapping[str, str]) -> str:
        """As Compose puts it together with these values."""
        parts = self.marked.split(VARIABLE)
        words = []
        for each in self.references:
            value = values.get(each.name, "")
            absent = not value if each.operator.startswith(":") else each.name not in values
            if each.operator.endswith("+"):
                value = "" if absent else each.word.expanded(values)
            elif each.has_default and absent:
                value = each.word.expanded(values)
            words.append(value)
        return "".join(part + word for part, word in zip(parts, [*words, ""])).replace(DOLLAR, "$")

    def all_references(self) -> Iterator[Reference]:
        """Also those in defaults."""
        for each in self.references:
            yield each
            yield from each.word.all_references()


def template(value: Any) -> Template:
    """A value in its parts. What Compose would refuse is taken for literal text."""
    text = str(value).replace(VARIABLE, "").replace(DOLLAR, "")
    return _parse(text, 0, False)[0]


def _parse(text: str, at: int, inside: bool) -> Tuple[Template, int]:
    """The template from ``at`` on, to the end or, ``inside`` braces, to the one that closes them."""
    marked: List[str] = []
    references: List[Reference] = []
    while at < len(text):
        character = text[at]
        if inside and character == "}":
            break
        if character != "$":
            marked.append(character)
            at += 1
        elif text.startswith("$$", at):
            marked.append(DOLLAR)
            at += 2
        else:
            reference, following = _reference(text, at)
            if reference is None:
                marked.append(DOLLAR)
            else:
                marked.append(VARIABLE)
                references.append(reference)
            at = following
    return Template("".join(marked), tuple(references)), at


def _reference(text: str, at: int) -> Tuple[Any, int]:
    """The variable whose dollar sign is at ``at``, and where the text goes on; None: it is none."""
    braced = text.startswith("${", at)
    name = _NAME.match(text, at + (2 if braced else 1))
    if name is None:
        return None, at + 1
    if not braced:
        return Reference(name.group(0), "", Template("")), name.end()
    operator = _OPERATOR.match(text, name.end())
    word, end = _parse(text, operator.end(), True) if operator else (Template(""), name.end())
    if not text.startswith("}", end):
        return None, at + 1
    return Reference(name.group(0), operator.group(0) if operator else "", word), end + 1
