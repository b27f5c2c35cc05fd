#!/usr/bin/env python3
"""Adds up what the steps of `make test` came to. The last line is "N passed, N failed".

    summary.py lint=0 unit=0:.cache/junit/unit.xml

One argument a step: its name, its exit code and, where it runs tests, their JUnit file. A step without such a file
counts as one check. A step that failed, or whose file is missing or holds no test, counts as one failure at least.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple


class Count(NamedTuple):
    passed: int
    failed: int
    skipped: int = 0


def main(arguments: list[str]) -> int:
    counts: list[Count] = []
    for argument in arguments:
        name, _, rest = argument.partition("=")
        code, _, file = rest.partition(":")
        count = step(int(code), Path(file) if file else None)
        counts.append(count)
        print(f"{'FAILED' if count.failed else 'ok':<7} {name}: {line(count)}")
    total = Count(*(sum(column) for column in zip(*counts, strict=True)))
    print(line(total))
    return 1 if total.failed or not total.passed else 0


def step(code: int, file: Path | None) -> Count:
    if file is None:
        return Count(0, 1) if code else Count(1, 0)
    count = read(file)
    # Tests may all pass and the step fail around them, for instance before the first of them ran.
    if not count.failed and (code or not count.passed):
        return count._replace(failed=1)
    return count


def read(file: Path) -> Count:
    try:
        suites = list(ElementTree.parse(file).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return Count(0, 1)

    def add_up(attribute: str) -> int:
        return sum(int(suite.get(attribute, 0)) for suite in suites)

    failed, skipped = add_up("failures") + add_up("errors"), add_up("skipped")
    return Count(max(add_up("tests") - failed - skipped, 0), failed, skipped)


def line(count: Count) -> str:
    text = f"{count.passed} passed, {count.failed} failed"
    return f"{text}, {count.skipped} skipped" if count.skipped else text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
