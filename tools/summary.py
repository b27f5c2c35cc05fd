#!/usr/bin/env python3
"""Adds up what the steps of `make test` came to. The last line is "N passed, N failed".

    summary.py lint=0 unit=0:.cache/junit/unit.xml molecule=0:.cache/junit/a.xml:.cache/junit/b.xml

One argument a step: its name, its exit code and, where it runs tests, their JUnit files. A step without such a file
counts as one check. A step that failed, or one of whose files is missing or holds no test, counts as one failure at
least.
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
        code, *files = rest.split(":")
        count = step(int(code), [Path(file) for file in files])
        counts.append(count)
        print(f"{'FAILED' if count.failed else 'ok':<7} {name}: {line(count)}")
    total = add_up(counts)
    print(line(total))
    return 1 if total.failed or not total.passed else 0


def step(code: int, files: list[Path]) -> Count:
    if not files:
        return Count(0, 1) if code else Count(1, 0)
    count = add_up([run(file) for file in files])
    # Tests may all pass and the step fail around them, for instance before the first of them ran.
    return count._replace(failed=1) if code and not count.failed else count


def run(file: Path) -> Count:
    count = read(file)
    return count if count.passed or count.failed else count._replace(failed=1)


def add_up(counts: list[Count]) -> Count:
    return Count(*(sum(column) for column in zip(*counts, strict=True)))


def read(file: Path) -> Count:
    try:
        suites = list(ElementTree.parse(file).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return Count(0, 1)

    def total(attribute: str) -> int:
        return sum(int(suite.get(attribute, 0)) for suite in suites)

    failed, skipped = total("failures") + total("errors"), total("skipped")
    return Count(max(total("tests") - failed - skipped, 0), failed, skipped)


def line(count: Count) -> str:
    text = f"{count.passed} passed, {count.failed} failed"
    return f"{text}, {count.skipped} skipped" if count.skipped else text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
