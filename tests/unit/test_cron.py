"""Whether cron understands a schedule as it is meant."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import cron


@pytest.mark.parametrize("schedule", [
    "5 3 * * *", "*/5 * * * *", "0 4 * * 7", "0,30 8-18/2 1,15 jan mon", "  5\t3 * * * ", "0 0 29 2 *",
    # Either the 30th of February or any Monday: that comes.
    "0 0 30 2 1", "0 0 31 1-12 *",
])
def test_what_cron_knows(schedule: str) -> None:
    assert cron.problem("backup", schedule) is None


@pytest.mark.parametrize(("schedule", "said"), [
    ("", "has 0 fields"),
    ("5 3 * *", "has 4 fields"),
    ("@daily", "has 1 fields"),
    ("5 3 * * * root", "has 6 fields"),
    ("60 3 * * *", "minute '60'"),
    ("5 24 * * *", "hour '24'"),
    ("5 3 0 * *", "day of the month '0'"),
    ("5 3 * 13 *", "month '13'"),
    ("5 3 * * 8", "day of the week '8'"),
    # cron would take these, and never do anything.
    ("5 22-4 * * *", "hour '22-4'"),
    ("0 0 31 4,6 *", "no such date"),
    ("*/0 3 * * *", "minute '*/0'"),
    ("5/10 3 * * *", "minute '5/10'"),
    ("5, 3 * * *", "minute '5,'"),
    ("-5 3 * * *", "minute '-5'"),
    ("٣ 3 * * *", "minute '٣'"),
    ("5 3 * * *\n* * * * * root reboot", "no text"),
    (5, "no text"),
    (None, "no text"),
])
def test_what_cron_would_pass_over(schedule: Any, said: str) -> None:
    found = cron.problem("backup", schedule)
    assert found is not None and said in found.line("en")
    assert found.line("ko") != found.line("en") and "\n" not in found.line("ko")


def test_every_schedule_of_a_description_is_judged() -> None:
    backup = {"targets": {"postgres": {"schedule": "x", "service": "db"}, "redis": {"schedule": "5 3 * * *"}},
              "keep": {"daily": 7}, "rehearsal": {"schedule": "5 3 * *"},
              "offsite": {"schedule": "* * * * *", "check_schedule": ""}}
    assert [finding.subject for finding in cron.problems(backup, "stack_backup_")] == [
        "stack_backup_targets.postgres.schedule", "stack_backup_rehearsal.schedule",
        "stack_backup_offsite.check_schedule"]
