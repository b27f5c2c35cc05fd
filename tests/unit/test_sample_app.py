"""The parts of the sample application that other tests lean on: the list of faults and the database's address."""

from __future__ import annotations

import importlib
import math
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1] / "sample_app"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("app.faults")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("app.settings")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ", {}),
        ("crash", {"crash": 0}),
        ("latency", {"latency": 3}),
        ("crash-after=2.5, unhealthy", {"crash-after": 2.5, "unhealthy": 0}),
        ("flood = 10", {"flood": 10}),
    ],
)
def test_faults_are_read(faults: ModuleType, text: str, expected: dict[str, float]) -> None:
    assert faults.parse(text) == expected


def test_a_gauge_may_be_no_number(faults: ModuleType) -> None:
    assert math.isnan(faults.parse("volatility=nan")["volatility"])


@pytest.mark.parametrize("text", ["crsh", "crash=1", "flood=", "flood=many", "flood=-1", "latency=nan", "latency=inf"])
def test_a_wrong_fault_is_refused(faults: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=text.partition("=")[0]):
        faults.parse(text)


def test_the_documentation_names_every_fault_and_its_number(faults: ModuleType) -> None:
    rows = re.findall(r"^\| `([a-z-]+)(?:=(\d+))?` \|", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert {name: float(number) if number else None for name, number in rows} == faults.FAULTS


def test_the_password_is_decoded(settings: ModuleType) -> None:
    url = "postgresql+asyncpg://postgres:p%40ss%2Fw%23rd%20%24%ED%95%9C%EA%B8%80@db:5432/coinpilot"
    address = settings.parse_database_url(url)
    assert address.password == "p@ss/w#rd $한글"
    assert (address.host, address.port, address.user, address.database) == ("db", 5432, "postgres", "coinpilot")
    assert "한글" not in repr(address)


@pytest.mark.parametrize("url", ["mysql://u:hidden@h/db", "postgresql://u:hidden@[x/db", "postgresql://u:hidden@h"])
def test_a_wrong_address_is_refused_without_its_password(settings: ModuleType, url: str) -> None:
    with pytest.raises(SystemExit, match="DATABASE_URL") as refusal:
        settings.parse_database_url(url)
    assert "hidden" not in str(refusal.value)
