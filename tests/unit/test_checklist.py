"""The checklist: its data, what an installation may change of it, a run, and how that is shown."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    checklist,
    checklist_items,
    checklist_readers,
    definitions,
    findings,
    watch,
)
from ansible_collections.coinpilot.ops.plugins.module_utils.checklist_context import Context
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    PASS,
    UNKNOWN,
    WARN,
    Case,
    Finding,
    Rule,
    Text,
)

ROLE = Path(__file__).resolve().parents[2] / "roles" / "stack"
DATA = ROLE / "vars/main/checklist.yml"
ITEMS: dict[str, Any] = yaml.safe_load(DATA.read_text(encoding="utf-8"))["stack_checklist"]
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
SERVICES = {**DEFAULTS["stack_services"], **DEFAULTS["stack_metrics_services"]}
HOUR = 3600.0


def text(words: str) -> Text:
    return Text(words, words)


RULES = findings.table(*(
    Rule(name, text(name), text("good"), {
        "good": Case(PASS, text("good")), "bad": Case(FAIL, text("bad"), text("mend {subject}")),
        "so-so": Case(WARN, text("so-so"), text("look at it"))})
    for name in ("one", "other")))


def item(read: str = "first", **more: Any) -> dict[str, Any]:
    return {"at": ["daily"], "title": {"en": "An item", "ko": "항목"}, "advice": {"en": "Mend it", "ko": "고치세요"},
            "read": read, **more}


# The data ------------------------------------------------------------------------------------------------------------

def test_the_stacks_own_checklist_is_sound() -> None:
    assert [definitions.line(each, "en") for each in checklist_items.problems(ITEMS, {}, SERVICES)] == []
    assert list(checklist_items.merge(ITEMS, {}, SERVICES)) == list(ITEMS)


def test_every_rule_of_every_reader_belongs_to_an_item() -> None:
    """Or nobody would see what it finds."""
    told: dict[str, set[str]] = {name: set() for name in checklist_readers.READERS}
    for each in ITEMS.values():
        told[each["read"]] |= set(each.get("rules") or checklist_readers.READERS[each["read"]]().rules)
    assert {name: sorted(set(checklist_readers.READERS[name]().rules) - ids) for name, ids in told.items()
            if set(checklist_readers.READERS[name]().rules) - ids} == {}


def test_every_service_that_is_needed_is_there() -> None:
    """An item that needs another one would never be looked at."""
    assert {name for each in ITEMS.values() for name in each.get("needs", ())} <= set(SERVICES)


def test_every_selection_has_items() -> None:
    for selection in checklist_items.SELECTIONS:
        assert [name for name, each in ITEMS.items() if selection in each["at"]], selection


@pytest.mark.parametrize("overrides", [
    {"webhooks": {"enabled": False}},
    {"webhooks": {"at": ["weekly"], "needs": []}},
    {"mine": {"at": ["daily"], "title": {"en": "a", "ko": "b"}, "advice": {"en": "c", "ko": "d"}, "read": "stack",
              "rules": ["unit"]}},
    {"not-there": {"enabled": False}},
])
def test_what_an_installation_may_change(overrides: dict[str, Any]) -> None:
    merged = checklist_items.merge(ITEMS, overrides, SERVICES)
    for name, change in overrides.items():
        assert (name in merged) == change.get("enabled", True)
        assert {key: merged[name][key] for key in change if key != "enabled"} == (
            {} if name not in merged else change)


def test_options_are_merged_one_by_one() -> None:
    merged = checklist_items.merge({"a": item("host", options={"load": 1, "disk_low": 2})},
                                   {"a": {"options": {"load": 3}}}, {})
    assert merged["a"]["options"] == {"load": 3, "disk_low": 2}


def test_an_item_without_its_service_is_left_out() -> None:
    assert list(checklist_items.merge({"a": item("stack", needs=["n8n"]), "b": item("stack")}, {}, {"db": {}})) == ["b"]


@pytest.mark.parametrize(("overrides", "said"), [
    ([], "stack_checklist_overrides must hold keys and values"),
    ({"Disk": {"enabled": False}}, "'Disk' is no name for an item"),
    ({3: {}}, "'3' is no name"),
    ({"webhooks": False}, "webhooks must hold keys and values"),
    ({"webhooks": {"enabled": "no"}}, "webhooks: enabled must be true or false; it is 'no'"),
    ({"webhooks": {"when": ["daily"]}}, "webhooks: unknown key 'when'; known: at, title"),
    ({"webhooks": {"at": "daily"}}, "webhooks: at must be a list of some of daily, weekly, t0"),
    ({"webhooks": {"at": ["t2h"]}}, "webhooks: at must be a list of some of"),
    ({"webhooks": {"at": []}}, "webhooks: at must be"),
    ({"webhooks": {"title": "Hooks"}}, "webhooks: title must be one line each in en and ko; it is 'Hooks'"),
    ({"webhooks": {"title": {"en": "Hooks"}}}, "webhooks: title must be one line each in en and ko; it is dict"),
    ({"webhooks": {"read": "nobody"}}, "webhooks: read must be one of stack, "),
    ({"webhooks": {"rules": ["unit"]}}, "webhooks: the reader webhooks has no rule 'unit'; it has: n8n"),
    ({"disk": {"options": {"disc_least": 5}}}, "disk: the reader host has no option 'disc_least'; it has: disk_least"),
    ({"disk": {"options": {"disk_least": "5 %"}}}, "disk: disk_least must be a number from 0 on; it is '5 %'"),
    ({"disk": {"options": {"disk_least": -5}}}, "disk: disk_least must be a number from 0 on; it is -5"),
    ({"activity": {"options": {"without": "rss"}}}, "activity: without must be a list of names; it is 'rss'"),
    ({"webhooks": {"options": {"x": 5}}}, "webhooks: the reader webhooks has no option 'x'; it has: -"),
    ({"webhooks": {"needs": ["nobody"]}}, "webhooks: needs names 'nobody', which is no service; services: db, "),
    ({"webhooks": {"options": ["x"]}}, "webhooks: options must be keys and values; it is list"),
    ({"mine": {"at": ["daily"]}}, "no item mine to change, and for an item of its own it misses: title, advice"),
])
def test_a_mistake_is_named(overrides: Any, said: str) -> None:
    found = [definitions.line(each, "en") for each in checklist_items.problems(ITEMS, overrides, SERVICES)]
    assert len(found) == 1 and found[0].startswith("stack_checklist_overrides: ") and said in found[0]
    with pytest.raises(ValueError, match="stack_checklist_overrides"):
        checklist_items.merge(ITEMS, overrides, SERVICES)


# What is due ---------------------------------------------------------------------------------------------------------

def test_a_checkpoint_selects_its_items() -> None:
    described = {"checklist": {"a": item(at=["daily", "t6h"]), "b": item(at=["weekly"]), "c": item(at=["t0"])}}
    assert [[each.id for each in checklist.select(described, name)] for name in checklist.CHECKPOINTS] == [
        ["a", "c"], ["a"], ["b"], ["c"], [], ["a"], [], []]
    assert [each.id for each in checklist.select(described, "t0", ["b", "a"])] == ["a", "b"]


@pytest.mark.parametrize(("checkpoint", "only", "said"), [
    ("t2h", [], "unknown checkpoint 't2h'; known: all, daily, weekly, t0, t1h, t6h, t12h, t24h"),
    ("", [], "unknown checkpoint ''"),
    ("all", ["a", "x"], "unknown item 'x'; known: a"),
])
def test_what_there_is_not_is_named(checkpoint: str, only: list[str], said: str) -> None:
    with pytest.raises(checklist.UnknownName) as problem:
        checklist.select({"checklist": {"a": item()}}, checkpoint, only)
    assert problem.value.text.en.startswith(said)


@pytest.mark.parametrize(("checkpoint", "armed_ago", "begins_ago"), [
    ("daily", 1, 24), ("weekly", 1, 168), ("all", None, 24), ("all", 5, 5), ("all", 30, 24),
    ("t0", None, 1 / 6), ("t0", 0.05, 0.05), ("t0", 3, 1 / 6),
    ("t1h", None, 1), ("t1h", 1.1, 1.1), ("t1h", 5, 1 + 1 / 6), ("t24h", 24.1, 24.1), ("t24h", 48, 24 + 1 / 6),
    # The clock was set back since.
    ("t6h", -1, 6),
])
def test_the_window(checkpoint: str, armed_ago: float | None, begins_ago: float) -> None:
    release = None if armed_ago is None else {"armed_at": 1e9 - armed_ago * HOUR}
    assert 1e9 - checklist.since(checkpoint, 1e9, release) == pytest.approx(begins_ago * HOUR)


# A run ---------------------------------------------------------------------------------------------------------------

class World:
    """Readers of the test's own, and what they were asked."""

    def __init__(self) -> None:
        self.containers: Any = {}
        self.asked: list[tuple[Context, Any]] = []
        self.wrong: list[Finding] = []
        self.gives: list[Finding] = [RULES["one"].finding("good"), RULES["other"].finding("bad", "bot")]

    def read(self, context: Context, options: Any) -> list[Finding]:
        self.asked.append((context, options))
        return self.gives

    def raising(self, context: Context, options: Any) -> list[Finding]:
        raise KeyError("a secret")

    def slow(self, context: Context, options: Any) -> list[Finding]:
        time.sleep(0.3)
        return [RULES["one"].finding("good")]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    sources = {"first": made.read, "raising": made.raising, "slow": made.slow, "slow-too": made.slow}
    monkeypatch.setattr(checklist_readers, "READERS", {
        name: lambda read=read: checklist_readers.Source(RULES, read) for name, read in sources.items()})
    monkeypatch.setattr(watch, "load_armed", lambda description, now: (None, made.wrong))

    class Snapshot:
        def containers(self, project: str) -> list[dict[str, Any]]:
            if made.containers is None:
                raise EngineError("it does not answer")
            return [{"Id": name, "Name": name, "State": {"Status": status},
                     "Config": {"Labels": {"com.docker.compose.service": name}}}
                    for name, status in made.containers.items()]

    monkeypatch.setattr(checklist, "Snapshot", Snapshot)
    return made


def run(items: dict[str, Any], **how: Any) -> list[checklist.Result]:
    described = {"project": "oci", "services": {"bot": {}, "db": {}}, "checklist": items}
    return checklist.run(described, "daily", now=1e9, **how)


def statuses(items: dict[str, Any], **how: Any) -> dict[str, str]:
    return {result.item.id: result.status for result in run(items, **how)}


def test_items_share_a_reading_and_each_gets_its_part(world: World) -> None:
    items = {"a": item(rules=["one"]), "b": item(rules=["other"]), "c": item(options={"x": 1})}
    assert statuses(items) == {"a": PASS, "b": FAIL, "c": FAIL}
    assert sorted((str(options), context.checkpoint, context.now - context.since)
                  for context, options in world.asked) == [("{'x': 1}", "daily", 86400), ("{}", "daily", 86400)]


def test_what_is_wrong_with_the_arming_is_an_item_of_its_own(world: World) -> None:
    world.wrong = [watch.RULES["watch-armed"].finding("damaged", path="armed.json")]
    results = run({"a": item("slow")})
    assert [(result.item.id, result.status) for result in results] == [("a", PASS), ("watch", UNKNOWN)]
    assert "24-hour watch" in checklist.render(results, "en") and "watch arm" in checklist.render(results, "en")


def test_readers_work_side_by_side(world: World) -> None:
    begin = time.monotonic()
    assert statuses({"a": item("slow"), "b": item("slow-too")}) == {"a": PASS, "b": PASS}
    assert time.monotonic() - begin < 0.55


def test_nothing_found_is_no_pass(world: World) -> None:
    world.gives = [RULES["one"].finding("good")]
    assert statuses({"a": item(), "b": item(rules=["other"])}) == {"a": PASS, "b": UNKNOWN}


def test_a_reader_that_breaks_is_its_own_items_trouble(world: World) -> None:
    results = run({"a": item("raising"), "b": item("slow")})
    assert [result.status for result in results] == [UNKNOWN, PASS]
    seen = results[0].findings[0].seen.en
    assert seen.startswith("stopped by an error of its own: KeyError (test_checklist.py:")
    assert "a secret" not in json.dumps(checklist.as_dict(results))


@pytest.mark.parametrize(("containers", "status"), [
    ({"bot": "running", "db": "exited"}, FAIL), ({"bot": "exited", "db": "running"}, UNKNOWN),
    ({"bot": "paused"}, UNKNOWN), ({}, UNKNOWN), (None, FAIL)])
def test_what_a_service_that_is_down_brings_about_is_not_judged(world: World, containers: Any, status: str) -> None:
    world.containers = containers
    results = run({"a": item(needs=["bot"]), "b": item(rules=["other"]), "c": item(rules=["one"], needs=["bot"])})
    assert [result.status for result in results] == [status, FAIL, PASS]
    if status == UNKNOWN:
        kind = containers.get("bot", "missing")
        bad = next(finding for finding in results[0].findings if finding.id == "other")
        assert f"An item  not judged while bot is {kind}\n" in checklist.render(results, "en")
        assert bad.seen.en == f"not judged while bot is {kind}" and bad.fix.en == "see to the service first"


@pytest.mark.parametrize("answer", [[{"Id": "x"}], EngineError("it does not answer")])
def test_the_containers_are_asked_for_once(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    asked = []

    def containers(engine: Engine, project: str) -> Any:
        asked.append(project)
        if isinstance(answer, EngineError):
            raise answer
        return answer

    monkeypatch.setattr(Engine, "containers", containers)
    snapshot = checklist.Snapshot()
    for _again in range(2):
        if isinstance(answer, EngineError):
            with pytest.raises(EngineError):
                snapshot.containers("oci")
        else:
            assert snapshot.containers("oci") == answer
    assert asked == ["oci"]


def test_only_some(world: World) -> None:
    assert statuses({"a": item(), "b": item("raising")}, only=["a"]) == {"a": FAIL}
    assert statuses({}) == {}


# What is shown -------------------------------------------------------------------------------------------------------

def test_one_screen_worst_first(world: World) -> None:
    world.gives = [RULES["one"].finding("good"), RULES["other"].finding("bad", "bot"),
                   RULES["other"].finding("so-so", "db"), RULES["other"].finding("so-so", "n8n")]
    results = run({"well": item(rules=["one"]), "ill": item(rules=["other"]), "all": item()})
    assert checklist.render(results[:2], "en") == """\
FAIL: FAIL 1, PASS 1
FAIL     An item
         other bot: bad
           expected: good
           do: mend bot
         other db, n8n: so-so
           do: look at it
           then: Mend it
PASS     An item  good
"""
    assert checklist.render(results[:2], "ko").splitlines()[:3] == [
        "실패: 실패 1, 정상 1", "실패       항목", "           other bot: bad"]
    assert [each["id"] for each in checklist.as_dict(results)] == ["ill", "all", "well"]


def test_much_trouble_is_no_long_list(world: World) -> None:
    world.gives = [RULES["one"].finding("bad", "subject %d" % number) for number in range(9)]
    shown = checklist.render(run({"a": item()}), "en")
    assert shown.count("bad") == 5 and "and 4 more: --format json shows all" in shown


def test_what_is_unknown_for_one_reason_is_said_once(world: World) -> None:
    results = run({"a": item("raising"), "b": item("raising", options={"x": 1}), "c": item(rules=["one"])})
    shown = checklist.render(results, "en")
    assert shown.count("stopped by an error") == 1 and "UNKNOWN  An item  as above\nPASS" in shown


def test_nothing_is_no_pass() -> None:
    assert checklist.render([], "en") == "UNKNOWN: nothing was checked\n"
