"""`.env` is read as the real Compose reads it: case by case, and for whatever Hypothesis thinks of."""

import os
import re
import time
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import compose
from ansible_collections.coinpilot.ops.plugins.module_utils.dotenv_reading import Entry, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = ["A", "B", "C"]


def real(home: Path, text: str) -> dict[str, str] | None:
    """What Compose makes of the keys, or None where it refuses the file."""
    file = home / "some.env"
    file.write_text(text, encoding="utf-8", newline="")
    with mock.patch.dict(os.environ, HOME=str(home)):
        try:
            return compose.Compose("probe", str(home), "-", str(file)).environment(KEYS)
        except compose.ComposeError:
            return None


def ours(home: Path, text: str) -> dict[str, str] | None:
    with mock.patch.dict(os.environ, HOME=str(home)):
        environ = compose.cli_environment()
    reading = parse(text, environ)
    if reading.problems:
        return None
    return {key: reading.values().get(key, "") for key in KEYS}


@pytest.mark.parametrize("text", [
    "A=1\n", "A=1", "A=\n", "A= # comment\n", "A=#x\n", "A=a #b\n", "A=a# b\n", "A=a\t#tab\n", "# A=1\n\n  # B=2\n",
    "A=pa$$word\n", "A=pa$foo\n", "A=pa$1x$\n", "A=pa${foo}x\n", "A=pa${foo:-def}x\n", "A=pa${foo-d-e}x${HOME}z\n",
    "A=pa${foo:+d}x\n", "A=pa${HOME:+d}x${HOME+e}\n", "A=${HOME:?no}\n", "A=${foo:?oops}\n", "A=${foo?}\n",
    "A=\nB=${A?}\n",
    "A=${\n", "A=${}\n", "A=${foo\n", "A=${1}\n", "A=$HOME\n", "A=x\nB=$A${A}y\nC='$A'\n", "A=$B\nB=1\n",
    "A=${HOME}${HOME}-x}\n", "A=${foo:-{a}}b\n", "A=${foo:-${HOME}}/x ${PATH}\n", "A=${foo:-a}${bar:-b}\n",
    "A=$foo-bar\n",
    'A="a\\$b $$ \\n \\0123 \\012 \\0777 \\c \\0 \\x \\"q\\" \\\\ \\t"\n', "A='a\\'b\\\\'\n", "A='a\\\\'\n",
    "A='a\\n$x ${y} $$'\n",
    'A="$"\n', 'A="a$$$$b"\n', 'A="abc"def\n', 'A="abc"def=3\n', 'A="abc" B=2\n', 'A="x"#c\n', 'A="x" # c\n',
    "A='it''s'\n",
    "A: yaml\n", "A:yaml\n", "A = spaced \n", " export A=1\n", "export  A\n", "export\nA=1\n", "export ",
    "exported=1\nA=2\n",
    "A\n", "A\r\nB=2\n", "HOME\nA=$HOME\n", "1A=3\n", "A.B=3\n", "A-B=3\n", "A[0]=3\n", "가=3\n", "A B=3\n", "A\tB=3\n",
    "A!=3\n",
    'A="x\n', "A='x\n", 'A="two\nlines"\nB=3\n', "A='B=1\nC=2'\n", "A=“smart”\n", "A=x y z  \n", "A=back\\slash\\n\n",
    "\ufeffA=1\n", "A=1\r\nB=2\r", 'A="x"\r\nB=2\n', "A=a\rb\n", "A=\u3000x\u3000\n", "A=1\nA=2\n", "A=1\nB=$A\nA=3\n",
    "A=1\nA\n", "A='x'A\n", "A=비밀 값\n",
])
def test_compose_reads_the_same(compose_home: Path, text: str) -> None:
    assert ours(compose_home, text) == real(compose_home, text)


PIECES = st.sampled_from([
    "A", "B", "C", "=", "=", "=", ":", "\n", "\n", "\n", " ", "\t", "#", " #", "'", '"', "\\", "$", "$$", "${", "}",
    "{", "${B}",
    "$A", "${HOME}", ":-", "-", "?", ":?", "+", "export ", "\r\n", "x", "1", "é", "\\n", "\\$", "\\0101", "\u3000",
    "'x'", '"y"',
])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=24).map(lambda pieces: "A=" + "".join(pieces) + "\n"))
def test_compose_reads_the_same_of_anything(compose_home: Path, text: str) -> None:
    # A value without a name is refused by some versions of Compose and passed over by others.
    if any(problem.case == "nameless" for problem in parse(text).problems):
        return
    assert ours(compose_home, text) == real(compose_home, text)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=40),
                min_size=1, max_size=3))
def test_any_characters_between_double_quotes(compose_home: Path, texts: list[str]) -> None:
    lines = ['%s="%s"' % (key, re.sub(r'([\\"$])', r"\\\1", value)) for key, value in zip(KEYS, texts, strict=False)]
    expected = dict.fromkeys(KEYS, "") | dict(zip(KEYS, texts, strict=False))
    text = "\n".join(lines) + "\n"
    assert ours(compose_home, text) == expected
    assert real(compose_home, text) == expected


@given(st.text(max_size=400))
def test_whatever_stands_there_never_raises(text: str) -> None:
    reading = parse(text, {"A": "1"})
    assert all(1 <= entry.line <= text.count("\n") + 1 for entry in reading.entries)


@pytest.mark.parametrize(("text", "lines"), [
    ("\n# one\n\nA=1\n  B = 2\nC='x\ny'\nexport D=4\r\nE\n", {"A": 4, "B": 5, "C": 6, "D": 8, "E": 9}),
    ("\ufeff# one\r\nA=1\r\nA=2\r\n", {"A": 3}),
    ('A="1" B=2\nC=3', {"A": 1, "B": 1, "C": 2}),
])
def test_every_key_has_its_line(text: str, lines: dict[str, int]) -> None:
    assert {key: entry.line for key, entry in parse(text).effective().items()} == lines


@pytest.mark.parametrize(("text", "problems", "keys"), [
    ("A=1\nno way\nB=2\n", [("space", 2)], ["A", "B"]),
    ("A=1\nB='open\nC=3\n", [("quote", 2)], ["A", "C"]),
    ("A=${\n-----BEGIN KEY-----\nB=${x\n=2\nC=${D:?}\n",
     [("template", 1), ("space", 2), ("template", 3), ("nameless", 4), ("needed", 5)], []),
    ("A=(1)\n(B)=2\n", [("name", 2)], ["A"]),
    ("A=1\nB", [("nameless", 2)], ["A"]),
    ("A=" + "${x:-" * 5000 + "}" * 5000 + "\nB=1\n", [("template", 1)], ["B"]),
])
def test_after_a_bad_line_it_goes_on(text: str, problems: list[tuple[str, int]], keys: list[str]) -> None:
    reading = parse(text)
    assert [(problem.case, problem.line) for problem in reading.problems] == problems
    assert [entry.key for entry in reading.entries] == keys


def test_a_variable_of_the_shell_goes_before_the_files_own() -> None:
    assert parse("A=1\nB=$A\n", {"A": "shell"}).values()["B"] == "shell"


def test_without_interpolation_a_variable_stays_as_it_stands() -> None:
    text = "A=$x\nB=\"${y} \\$z $$\"\nC='$x'\n"
    assert parse(text, interpolate=False).values() == {"A": "$x", "B": "${y} $z $$", "C": "$x"}


def test_nothing_shows_a_value() -> None:
    (entry,) = parse("A=very-secret\n").entries
    (problem,) = parse("A='very-secret\n").problems
    assert isinstance(entry, Entry)
    assert "secret" not in repr(entry) + str(entry) + repr(problem) + str(problem)


def test_a_large_file_is_read_in_no_time() -> None:
    started = time.monotonic()
    for text in ("KEY_%d=value\n" * 20000, "A='\n" * 3000, "A=" + "$" * 200000 + "\n", "A=" + "${a" * 3000 + "\n"):
        parse(text)
    assert time.monotonic() - started < 10
