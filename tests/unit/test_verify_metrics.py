from __future__ import annotations

from pathlib import Path

from ansible_collections.coinpilot.ops.plugins.module_utils import verify_metrics
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import (
    FAIL,
    NOTHING,
    PASS,
    UNKNOWN,
    Finding,
    Text,
)

FOUND = [Finding("service", status, Text("service", "서비스"), "bot", NOTHING, NOTHING, NOTHING)
         for status in (PASS, FAIL, FAIL, UNKNOWN)]


def test_what_failed_and_what_could_not_be_told_is_counted(tmp_path: Path) -> None:
    assert verify_metrics.write({"name": "my-stack", "state_directory": str(tmp_path)}, FOUND, 1234.5) == []
    lines = (tmp_path / "metrics" / "verify.prom").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "my_stack_verify_last_run_timestamp_seconds 1234.5", "my_stack_verify_failed 2", "my_stack_verify_unknown 1"]


def test_what_cannot_be_written_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("in the way")
    [found] = verify_metrics.write({"name": "x", "state_directory": str(tmp_path)}, FOUND, 1.0)
    assert (found.id, found.status) == ("verify-metrics", "WARN")
