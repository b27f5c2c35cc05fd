# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""A `.env` file read exactly as Docker Compose reads it, with the line of every key and what became of its value.

Compose's own rules, oddities included: a value in no quotes ends at `` #``; what follows a closing quote is the next
key; a key with nothing behind it takes its value from the shell; ``$`` begins a variable unless single quotes
protect it. A property test compares this reading with the real program's.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

BOM = "\ufeff"
_SPACE = "\t\v\f\r \x85\xa0"
_ANY_SPACE = (_SPACE + "\n\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
              "\u202f\u205f\u3000")
_EXPORT = re.compile(r"export[\t\n\f\r ]+")
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0[0-9]{0,3})')
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<named>[_a-zA-Z][_a-zA-Z0-9]*)"
                       r"|\{(?:(?P<braced>[_a-zA-Z][_a-zA-Z0-9]*(?::?[-+?].*)?)\}|(?P<broken>)))")
_OPERATORS = (":?", "?", ":-", "-", ":+", "+")

Lookup = Callable[[str], Optional[str]]


class Refused(Exception):
    """Compose reads nothing of a file with this in it. ``case`` says what; the text of the file is never in it."""

    def __init__(self, case: str, line: int = 0):
        super().__init__(case)
        self.case = case
        self.line = line


class Reference(NamedTuple):
    """A variable inside a value: found in the shell, in the file (above), or nowhere."""

    name: str
    braced: bool
    defaulted: bool
    found: str


@dataclasses.dataclass(frozen=True, repr=False)
class Entry:
    """One key of the file, and how its value came about. Holds a secret, so it does not show itself."""

    key: str
    line: int
    # None: the line has no `=`, so that the shell's variable of this name is taken, if there is one.
    value: Optional[str]
    quote: str = ""
    # As written: between the quotes, or to the end of the line without what follows ` #`.
    written: str = ""
    # The rest of its line: from ` #` on, or what follows the closing quote.
    rest: str = ""
    # Whether there was a space between the sign and the value.
    spaced: bool = False
    # Whether another assignment on the same line comes before it.
    trailing: bool = False
    references: Tuple[Reference, ...] = ()
    # Two dollar signs that Compose reads as one, not written as an escape in double quotes.
    doubled: bool = False


class Reading(NamedTuple):
    """A whole file. One problem, and Compose refuses it; the entries are then what can be told all the same."""

    entries: List[Entry]
    problems: List[Refused]

    def effective(self) -> Dict[str, Entry]:
        """key -> the entry that counts: the last that has a value, for one that inherits none takes none away."""
        found: Dict[str, Entry] = {}
        for entry in self.entries:
            if entry.value is not None or entry.key not in found:
                found[entry.key] = entry
        return found

    def values(self) -> Dict[str, str]:
        """key -> the value that Compose takes from the file."""
        return {key: entry.value for key, entry in self.effective().items() if entry.value is not None}


def parse(text: str, environ: Optional[Mapping[str, str]] = None, interpolate: bool = True) -> Reading:
    """The file as Compose reads it in a shell with these variables, which go before the file's own.

    ``interpolate=False`` leaves variables inside of values as they stand.
    """
    return _Parser(text, environ or {}, interpolate).read()


def substitute(template: str, lookup: Lookup) -> str:
    """A text with its variables replaced, as everywhere in Compose. Raises Refused."""
    return _VARIABLE.sub(lambda match: _replace(match, lookup), template)


def _replace(match: re.Match, lookup: Lookup) -> str:
    whole, rest = _split_at_brace(match.group(0))
    found = _VARIABLE.match(whole)
    if found is None or found.group("broken") is not None:
        raise Refused("template")
    if found.group("dollar"):
        return "$"
    if found.group("named"):
        return lookup(found.group("named")) or ""
    inner = found.group("braced")
    operator = _first_operator(match.group(0))
    if operator not in inner or not operator:
        return lookup(inner) or ""
    name, _operator, other = inner.partition(operator)
    return _operate(operator, lookup(name), substitute(other, lookup)) + substitute(rest, lookup)


def _operate(operator: str, value: Optional[str], other: str) -> str:
    there = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return other if there else value or ""
    if there:
        return value or ""
    if operator.endswith("?"):
        raise Refused("needed")
    return other


def _first_operator(text: str) -> str:
    """Compose picks the operator that comes first in the text; of `:-` and `-` the longer begins earlier."""
    found = [(text.index(operator), operator) for operator in _OPERATORS if operator in text]
    return min(found)[1] if found else ""


def _split_at_brace(text: str) -> Tuple[str, str]:
    """A text up to the brace that closes its first one, and what follows; Compose skips what stands after a brace."""
    depth = at = 0
    while at < len(text):
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return text[:at + 1], text[at + 1:]
        if text[at] == "{":
            depth += 1
            at += 1
        at += 1
    return text, ""


class _Parser:
    """One pass over the text. After what Compose refuses it goes on with the next line."""

    def __init__(self, text: str, environ: Mapping[str, str], interpolate: bool):
        self.text = text[1:] if text.startswith(BOM) else text
        self.environ = environ
        self.interpolate = interpolate
        self.at = 0
        self.out: Dict[str, str] = {}
        self.entries: List[Entry] = []
        self.problems: List[Refused] = []
        self.references: List[Reference] = []
        self._counted = (0, 1)

    def read(self) -> Reading:
        while self._find_statement():
            start = self.at
            try:
                self._statement()
            except Refused as problem:
                self.problems.append(Refused(problem.case, self._line(start)))
                self.at = self._end_of_line(start)
            except RecursionError:
                self.problems.append(Refused("template", self._line(start)))
                self.at = self._end_of_line(start)
        return Reading(self.entries, self.problems)

    def _find_statement(self) -> bool:
        while True:
            while self.at < len(self.text) and self.text[self.at] in _ANY_SPACE:
                self.at += 1
            if self.at >= len(self.text):
                return False
            if self.text[self.at] != "#":
                return True
            self.at = self._end_of_line(self.at)

    def _statement(self) -> None:
        start = self.at
        line = self._line(start)
        trailing = bool(self.entries and self.text[self.text.rfind("\n", 0, start) + 1:start].strip(_ANY_SPACE))
        exported = _EXPORT.match(self.text, self.at)
        if exported:
            self.at += len("export")
            self._skip(_SPACE)
        key, sign = self._key()
        if not key and sign != "\n":
            raise Refused("nameless")
        if " " in key:
            raise Refused("space")
        if sign == "\n":
            value = self.environ.get(key)
            if value is not None:
                self.out[key] = value
            self.entries.append(Entry(key, line, None, trailing=trailing))
            return
        signed = self.at
        self._skip(_SPACE)
        entry = Entry(key, line, "", spaced=self.at > signed, trailing=trailing)
        entry = self._quoted(entry) if self.text[self.at:self.at + 1] in ("'", '"') else self._plain(entry)
        self.out[key] = entry.value or ""
        self.entries.append(entry)

    def _key(self) -> Tuple[str, str]:
        """The name, and the sign behind it: `=`, `:`, or the end of the line; it then stands behind the sign.

        At the end of a file that ends without a line break there is no sign: what stands there has no name for
        Compose, which some versions refuse and others pass over.
        """
        begin = self.at
        for at in range(begin, len(self.text)):
            character = self.text[at]
            if character in "=:\n":
                self.at = at + 1
                return self.text[begin:at].rstrip(_ANY_SPACE), character
            if character not in _SPACE + "_.-[]" and unicodedata.category(character)[0] not in "LN":
                raise Refused("name")
        return "", ""

    def _plain(self, entry: Entry) -> Entry:
        end = self._end_of_line(self.at)
        line = self.text[self.at:end]
        self.at = end
        written, sign, comment = line.partition(" #")
        written = written.rstrip(_ANY_SPACE)
        value = self._expand(written)
        return dataclasses.replace(entry, value=value, written=written, rest=sign + comment,
                                   references=tuple(self.references), doubled=self.interpolate and "$$" in written)

    def _quoted(self, entry: Entry) -> Entry:
        quote = self.text[self.at]
        characters: List[str] = []
        escaped = False
        for at in range(self.at + 1, len(self.text)):
            character = self.text[at]
            if escaped:
                characters.append(character if character == quote else "\\" + character)
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == quote:
                self.at = at + 1
                break
            else:
                characters.append(character)
        else:
            raise Refused("quote")
        written = "".join(characters)
        value = written if quote == "'" else self._expand(_unescape(written, self.interpolate))
        return dataclasses.replace(entry, value=value, written=written, quote=quote,
                                   rest=self.text[self.at:self._end_of_line(self.at)],
                                   references=tuple(self.references) if quote == '"' else (),
                                   doubled=quote == '"' and self.interpolate and "$$" in written)

    def _expand(self, text: str) -> str:
        self.references = []
        if not self.interpolate:
            return text
        for match in _VARIABLE.finditer(text):
            name = match.group("named") or match.group("braced")
            if name:
                plain = re.split("[^_a-zA-Z0-9]", name, maxsplit=1)[0]
                found = "shell" if plain in self.environ else "file" if plain in self.out else ""
                self.references.append(Reference(plain, bool(match.group("braced")), plain != name, found))
        return substitute(text, self._look_up)

    def _look_up(self, name: str) -> Optional[str]:
        return self.environ.get(name, self.out.get(name))

    def _skip(self, characters: str) -> None:
        while self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1

    def _end_of_line(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _line(self, at: int) -> int:
        """The number of the line at this place; places are asked for in rising order."""
        before, number = self._counted
        number += self.text.count("\n", before, at)
        self._counted = (at, number)
        return number


def _unescape(text: str, dollar_doubled: bool) -> str:
    def one(match: re.Match) -> str:
        code = match.group(0)[1:]
        if code == "$":
            return "$$" if dollar_doubled else "$"
        if code.startswith("0"):
            digits = code[1:]
            octal = len(digits) == 3 and re.match("[0-3][0-7]{2}", digits)
            return chr(int(digits, 8)) if octal else "\\" + digits
        return _ESCAPED.get(code, "\\" + code)
    return _ESCAPE.sub(one, text)
