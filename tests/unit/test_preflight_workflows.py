"""n8n workflows: the corpus, each file of which has one defect or none, and what no file may do to the judge."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_workflows as workflows
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, Finding

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "workflows"
BAD = sorted((CORPUS / "bad").rglob("*.json"))
GOOD = sorted((CORPUS / "good").rglob("*.json"))


def judged(path: Path, env_blocked: Optional[bool]) -> List[Finding]:
    return workflows.judge(workflows.World(str(path.parent), [workflows.read(str(path))]), env_blocked)


@pytest.mark.parametrize("path", BAD, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_defect_is_found_by_its_rule(path: Path) -> None:
    rule = path.parent.name
    found = judged(path, env_blocked=rule == "workflow-env-blocked")
    assert rule in {finding.id for finding in found if finding.status == FAIL}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_nothing_safe_is_refused(path: Path) -> None:
    assert not [finding for finding in judged(path, env_blocked=False) if finding.status in (FAIL, UNKNOWN)]


def test_a_directory_of_good_workflows_passes_every_rule() -> None:
    found = workflows.judge(workflows.gather(str(CORPUS / "good")), env_blocked=False)
    assert {finding.id for finding in found if finding.status == PASS} >= {
        "workflow-file", "workflow-unguarded", "workflow-secret-literal", "workflow-env-blocked"}
