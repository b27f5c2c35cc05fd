"""`.env` as it is written and read back. That Compose reads the same is proven on the stand-in (tests/host)."""

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import dotenv
from hypothesis import given
from hypothesis import strategies as st

LINE = st.text(st.characters(blacklist_characters="\n\r\0", blacklist_categories=("Cs",)))


@given(LINE)
def test_every_value_of_one_line_comes_back(value: str) -> None:
    assert dotenv.parse(dotenv.render({"KEY": value})) == {"KEY": value}


@pytest.mark.parametrize(("value", "line"), [
    ("s3cret-w.ord_/+=", "KEY=s3cret-w.ord_/+="),
    ("https://example.com/api?a=1", "KEY='https://example.com/api?a=1'"),
    ("", "KEY=''"),
    ("pa$$word", "KEY='pa$$word'"),
    ("two words", "KEY='two words'"),
    ("비밀", "KEY='비밀'"),
    ("it's", 'KEY="it\'s"'),
])
def test_what_needs_no_quotes_has_none(value: str, line: str) -> None:
    assert dotenv.render({"KEY": value}) == line + "\n"


@pytest.mark.parametrize("value", ["two\nlines", "carriage\rreturn", "nul\0"])
def test_a_value_that_is_no_line_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        dotenv.render({"KEY": value})


@pytest.mark.parametrize("key", ["", "1ST", "WITH SPACE", "A-B", "KEY\n"])
def test_a_name_that_no_shell_would_take_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="key of .env"):
        dotenv.render({key: "value"})


@pytest.mark.parametrize(("text", "values"), [
    ("A=1\nA=2\n", {"A": "2"}),
    ("export A=1\n", {"A": "1"}),
    ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("A=plain # a comment\n", {"A": "plain"}),
    ("A=no#comment\n", {"A": "no#comment"}),
    ("# A=1\n\n", {}),
    ("A='it''s'\n", {"A": "it"}),
    ("A='$HOME # x'\n", {"A": "$HOME # x"}),
    ('A="say \\"hi\\" \\$x \\\\"\n', {"A": 'say "hi" $x \\'}),
    ('A="two\nlines"\nB=3\n', {"A": "two\nlines", "B": "3"}),
    ("A=\n", {"A": ""}),
    ("A='never closed\nB=1\n", {"B": "1"}),
    ("A='ends in a backslash\\\\'\nB=1\n", {"A": "ends in a backslash\\\\", "B": "1"}),
    ("A='x' # a comment\nB: 1\n", {"A": "x", "B": "1"}),
    ("A=a\t#no comment\n", {"A": "a\t#no comment"}),
    ("A=$x ${y} $$\n", {"A": "$x ${y} $$"}),
])
def test_files_written_by_hand(text: str, values: dict[str, str]) -> None:
    assert dotenv.parse(text) == values
