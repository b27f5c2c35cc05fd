"""Which backups are kept: by what exists, by the host's calendar, and never a good one beyond the rule."""

from __future__ import annotations

import calendar
import random
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import backup_retention, backup_store
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_retention import Decision, plan, promote
from ansible_collections.coinpilot.ops.plugins.module_utils.backup_store import Backup
from hypothesis import given
from hypothesis import strategies as st

KEEP = {"daily": 7, "weekly": 4}
NOON = calendar.timegm((2026, 11, 23, 12, 0, 0))  # a Monday
DAY = 86400.0


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    set_zone(monkeypatch, "UTC")
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def set_zone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TZ", name)
    time.tzset()


def backup(taken_at: float, kind: str = "daily", state: str = "good") -> Backup:
    stamp = datetime.fromtimestamp(taken_at, timezone.utc).strftime(backup_store.STAMP)
    name = ("coinpilot_" if state == "old" else "coinpilot_postgres_") + stamp
    manifest: dict[str, Any] | None = {"suspect": ["backup-size"] if state == "suspect" else []}
    if state in ("damaged", "old"):
        manifest = None
    return Backup("postgres", name, "/backups/postgres/" + kind, kind, taken_at, (name + ".dump",), manifest,
                  state != "old")


def is_good(item: Backup) -> bool:
    return item.own and item.manifest is not None and not item.manifest["suspect"]


def decide(backups: list[Backup], proven: str | None = None, now: float = NOON + 1, **keep: int) -> list[Decision]:
    return plan(backups, {**KEEP, **keep}, proven, now, is_good)


def reasons(*arguments: Any, **more: Any) -> list[str]:
    return [decision.reason for decision in decide(*arguments, **more)]


def going(decisions: list[Decision]) -> list[Backup]:
    return [decision.backup for decision in decisions if not decision.kept]


def test_seven_days_are_kept_and_the_eighth_goes() -> None:
    assert reasons([backup(NOON - day * DAY) for day in range(9)]) == ["newest-day"] + ["daily"] * 6 + ["old-day"] * 2


def test_of_a_day_before_only_the_newest_is_kept_of_the_newest_day_all() -> None:
    hours = [backup(NOON - day * DAY - hour * 3600) for day in (0, 1) for hour in (0, 1, 2)]
    assert reasons(hours) == ["newest-day"] * 3 + ["daily"] + ["same-day"] * 2


def test_a_month_without_backups_deletes_nothing() -> None:
    before = [backup(NOON - day * DAY) for day in range(30, 37)]
    assert going(decide(before)) == []
    assert going(decide([backup(NOON), *before])) == [before[-1]]


def test_a_month_of_suspect_ones_deletes_nothing() -> None:
    good = [backup(NOON - day * DAY) for day in range(30, 37)]
    suspect = [backup(NOON - day * DAY, state="suspect") for day in range(30)]
    assert reasons(suspect + good) == ["suspect"] * 30 + ["newest-day"] + ["daily"] * 6


@pytest.mark.parametrize("state", ["suspect", "damaged"])
def test_a_newest_one_that_is_not_good_blocks(state: str) -> None:
    good = [backup(NOON - day * DAY) for day in range(1, 10)]
    assert reasons([backup(NOON, state=state), *good])[-2:] == ["blocked", "blocked"]
    assert going(decide([backup(NOON), backup(NOON - 1, state=state), *good])) == good[-3:]


def test_a_bad_one_of_a_clock_that_ran_ahead_blocks_nothing() -> None:
    good = [backup(NOON - day * DAY) for day in range(8)]
    assert going(decide([backup(NOON + 365 * DAY, state="suspect"), *good])) == good[-1:]


def test_weeks_are_counted_by_themselves() -> None:
    weekly = [backup(NOON - week * 7 * DAY, "weekly") for week in range(6)]
    assert reasons(weekly) == ["weekly"] * 4 + ["old-week"] * 2
    assert reasons(weekly + [backup(NOON)])[:6] == ["weekly"] * 4 + ["old-week"] * 2


def test_of_a_week_the_newest_is_kept() -> None:
    assert reasons([backup(NOON, "weekly"), backup(NOON - 3600, "weekly")]) == ["weekly", "same-week"]


def test_a_week_goes_across_the_end_of_a_year() -> None:
    thursday, friday, monday = (calendar.timegm((2026, 12, 31, 12, 0, 0)), calendar.timegm((2027, 1, 1, 12, 0, 0)),
                                calendar.timegm((2027, 1, 4, 12, 0, 0)))
    weekly = [backup(moment, "weekly") for moment in (monday, friday, thursday)]
    assert reasons(weekly, now=monday + 1) == ["weekly", "weekly", "same-week"]


@pytest.mark.parametrize("kind", ["daily", "weekly"])
def test_the_newest_proven_one_stays_whatever_is_newer(kind: str) -> None:
    backups = [backup(NOON - number * 7 * DAY, kind) for number in range(20)]
    decisions = decide(backups, backups[15].name)
    assert decisions[15].reason == "proven" and decisions[15].kept
    assert backups[15] not in going(decisions) and len(going(decisions)) == 19 - KEEP[kind]


def test_a_proven_one_that_is_kept_anyway_takes_no_other_place() -> None:
    backups = [backup(NOON - day * DAY) for day in range(9)]
    assert decide(backups, backups[3].name) == decide(backups)


def test_a_proven_one_that_is_gone_changes_nothing() -> None:
    backups = [backup(NOON - day * DAY) for day in range(9)]
    assert decide(backups, "coinpilot_postgres_20250101T000000Z") == decide(backups)


@pytest.mark.parametrize(("state", "kind", "reason"), [
    ("old", "daily", "foreign"), ("old", "weekly", "foreign"), ("good", "safety", "safety"),
    ("suspect", "safety", "safety"), ("suspect", "weekly", "suspect"), ("damaged", "daily", "damaged"),
])
def test_what_the_rules_are_not_for_stays_and_does_not_count(state: str, kind: str, reason: str) -> None:
    others = [backup(NOON - day * DAY - 60, kind, state) for day in range(1, 30)]
    good = [backup(NOON - day * DAY) for day in range(8)]
    decisions = decide(others + good)
    assert {decision.reason for decision in decisions[:29]} == {reason}
    assert going(decisions) == good[-1:]


def test_of_one_second_one_is_kept_whatever_the_order() -> None:
    one = backup(NOON - DAY)
    other = one._replace(name=one.name.replace("T", "U"))
    today = backup(NOON)
    assert going(decide([today, one, other])) == going(decide([other, one, today])) == [one]
    both = [backup(NOON), backup(NOON)._replace(name="coinpilot_postgres_z")]
    assert going(decide(both)) == []


def test_those_of_a_clock_that_ran_ahead_are_not_counted() -> None:
    ahead = [backup(NOON + (300 + day) * DAY) for day in range(10)]
    good = [backup(NOON - day * DAY) for day in range(8)]
    assert reasons(ahead + good) == ["future"] * 10 + ["newest-day"] + ["daily"] * 6 + ["old-day"]
    assert going(decide(ahead + good, now=NOON + 400 * DAY)) == ahead[:3] + good


def test_a_clock_set_back_keeps_what_was_taken_and_what_is_taken_now() -> None:
    backups = [backup(NOON - day * DAY) for day in range(7)]
    again = backup(NOON - 30 * DAY)
    assert going(decide([*backups, again], now=NOON - 30 * DAY + 1)) == []


@pytest.mark.parametrize(("name", "kept"), [("UTC", ["newest-day", "daily"]), ("Asia/Seoul", ["newest-day"] * 2)])
def test_a_day_is_one_of_the_hosts_calendar(zone: pytest.MonkeyPatch, name: str, kept: list[str]) -> None:
    set_zone(zone, name)
    midnight = calendar.timegm((2026, 11, 23, 0, 0, 0))
    assert reasons([backup(midnight + 60), backup(midnight - 60)]) == kept


def test_a_day_of_25_hours_is_one_day(zone: pytest.MonkeyPatch) -> None:
    set_zone(zone, "America/New_York")
    first, last = calendar.timegm((2026, 11, 1, 4, 30, 0)), calendar.timegm((2026, 11, 2, 4, 30, 0))
    assert reasons([backup(last + DAY), backup(last), backup(first)]) == ["newest-day", "daily", "same-day"]


@pytest.mark.parametrize("keep", [{"daily": 0}, {"weekly": 0}, {"daily": -1}, {"weekly": True}, {"daily": "7"}])
def test_a_number_that_would_delete_all_is_refused(keep: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        decide([backup(NOON)], **keep)


def test_nothing_is_decided_of_nothing() -> None:
    assert decide([]) == []


def test_every_reason_is_said_in_both_languages() -> None:
    for reason, text in backup_retention.REASONS.items():
        filled = text.fill(**KEEP)
        assert filled.en and filled.ko and "{" not in filled.en + filled.ko, reason
    assert decide([backup(NOON - day * DAY) for day in range(8)])[-1].text.en == "7 newer days have a good one"


def test_the_first_good_one_of_a_week_is_promoted() -> None:
    sunday, last_week = backup(NOON + 6 * DAY), backup(NOON - DAY, "weekly")
    assert promote([last_week], sunday, is_good)
    assert promote([], backup(NOON), is_good)
    assert not promote([backup(NOON, "weekly")], sunday, is_good)


@pytest.mark.parametrize("state", ["old", "suspect", "damaged"])
def test_only_a_good_one_stands_for_a_week(state: str) -> None:
    assert promote([backup(NOON, "weekly", state)], backup(NOON), is_good)
    assert not promote([], backup(NOON, state=state), is_good)


def test_one_taken_before_a_restore_is_not_promoted() -> None:
    assert not promote([], backup(NOON, "safety"), is_good)


def test_a_cut_data_file_counts_as_damaged(tmp_path: Path) -> None:
    item = backup(NOON)._replace(directory=str(tmp_path), manifest={
        "suspect": [], "files": [{"name": backup(NOON).files[0], "size": 4}]})
    assert plan([item], KEEP, None, NOON + 1)[0].reason == "damaged"
    (tmp_path / item.files[0]).write_text("four")
    assert plan([item], KEEP, None, NOON + 1)[0].reason == "newest-day"


WORLDS = st.lists(st.builds(
    backup, st.integers(-60 * 24, 10 * 24).map(lambda hours: NOON + hours * 3600.0),
    st.sampled_from(["daily", "daily", "weekly", "safety"]),
    st.sampled_from(["good", "good", "good", "suspect", "damaged", "old"])),
    max_size=60, unique_by=lambda item: (item.kind, item.name))


@given(WORLDS, st.integers(1, 9), st.integers(1, 5), st.data())
def test_in_any_world(world: list[Backup], daily: int, weekly: int, data: st.DataObject) -> None:
    names = [item.name for item in world]
    proven = data.draw(st.sampled_from([None, *names]))
    decisions = decide(world, proven, daily=daily, weekly=weekly)
    gone = going(decisions)
    good = [item for item in world if is_good(item) and item.taken_at <= NOON + 1]

    assert [decision.backup for decision in decisions] == world
    assert all(item in good and item.kind != "safety" and item.name != proven for item in gone)
    for kind, number, form in (("daily", daily, "%Y-%m-%d"), ("weekly", weekly, "%G-%V")):
        def period(item: Backup, form: str = form) -> str:
            return datetime.fromtimestamp(item.taken_at, timezone.utc).strftime(form)

        of_kind = [item for item in good if item.kind == kind]
        kept = [item for item in of_kind if item not in gone]
        # The newest of each of the newest periods stays; as many periods as there are, up to the number.
        for wanted in sorted({period(item) for item in of_kind})[-number:]:
            assert max((item for item in of_kind if period(item) == wanted), key=lambda item: item.taken_at) in kept
        if of_kind and kind == "daily":
            assert all(item in kept for item in of_kind if period(item) == max(map(period, of_kind)))
        # What goes has a newer good one of its kind that stays.
        assert all(any(other.taken_at > item.taken_at for other in kept) for item in gone if item.kind == kind)
        if not any(decision.reason == "blocked" for decision in decisions):
            periods = {period(item) for item in kept if item.name != proven}
            assert len(periods) <= number

    # Deleting is done once; the order of the listing does not matter.
    left = [item for item in world if item not in gone]
    assert going(decide(left, proven, daily=daily, weekly=weekly)) == []
    shuffled = random.Random(len(world)).sample(world, len(world))
    assert sorted(going(decide(shuffled, proven, daily=daily, weekly=weekly))) == sorted(gone)


@given(st.lists(st.sampled_from(["good", "good", "suspect", "fails"]), min_size=1, max_size=120), st.randoms())
def test_over_months_of_days_that_go_well_and_ill(days: list[str], chance: random.Random) -> None:
    """A backup a day, each followed by pruning: what is there is always the newest 7 good ones, and 4 weeks."""
    there: list[Backup] = []
    good: list[Backup] = []
    for number, outcome in enumerate(days):
        now = NOON + number * DAY + chance.randrange(3600)
        if outcome != "fails":
            there.append(backup(now, state=outcome))
        if outcome == "good":
            good.append(there[-1])
            if promote(there, there[-1], is_good):
                there.append(there[-1]._replace(kind="weekly"))
        gone = going(decide(there, now=now + 1))
        there = [item for item in there if item not in gone]
        assert [item for item in there if item.kind == "daily" and is_good(item)] == good[-7:]
    first_of_week: dict[str, Backup] = {}
    for item in good:
        week = datetime.fromtimestamp(item.taken_at, timezone.utc).strftime("%G-%V")
        first_of_week.setdefault(week, item)
    assert [item.name for item in there if item.kind == "weekly"] == [
        item.name for item in list(first_of_week.values())[-4:]]
