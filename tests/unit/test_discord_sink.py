"""The sink that plays Discord takes what Discord takes, and no more."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "stand_in" / "discord_sink.py"


@pytest.fixture(scope="module")
def sink() -> ModuleType:
    spec = importlib.util.spec_from_file_location("discord_sink", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("message", [
    {"content": "x" * 2000},
    {"content": "", "embeds": [{"title": "가" * 256, "description": "x" * 4096, "color": 0xFFFFFF,
                                "url": "http://localhost:3000/", "fields": [{"name": "n" * 256, "value": "v"}]}]},
    {"embeds": [{"title": str(number)} for number in range(10)]},
])
def test_what_discord_takes(sink: ModuleType, message: Any) -> None:
    assert sink.problems(message) == []


@pytest.mark.parametrize(("message", "words"), [
    (None, "no JSON object"),
    ({}, "empty message"),
    ({"content": "", "embeds": []}, "empty message"),
    ({"content": "x" * 2001}, "content: more than 2000"),
    ({"embeds": [{"title": "x" * 257}]}, "title: more than 256"),
    ({"embeds": [{"description": "x" * 4097}]}, "description: more than 4096"),
    ({"embeds": [{"title": "t", "color": "red"}]}, "color"),
    ({"embeds": [{"title": "t", "url": "localhost"}]}, "url"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]}, "more than 25"),
    ({"embeds": [{"fields": [{"name": "n", "value": ""}]}]}, "required"),
    ({"embeds": [{"fields": [{"name": "n", "value": "x" * 1025}]}]}, "value: more than 1024"),
    ({"embeds": [{"title": "t"}] * 11}, "at most 10"),
    ({"embeds": [{"description": "x" * 4000}] * 2}, "6000 characters in all"),
])
def test_what_discord_refuses(sink: ModuleType, message: Any, words: str) -> None:
    assert words in "; ".join(sink.problems(message))
