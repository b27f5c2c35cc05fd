"""Every alert rule fires when it shall and not otherwise, in the words of the rule, as Prometheus itself evaluates it.

The cases are in alert_rules_cases/. They run on what `alert_rules.prometheus` makes of the role's own variables, which
is the same query, limit and duration that Grafana gets. Grafana's own evaluation is not proven here.
"""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import alert_rules

HERE = Path(__file__).resolve().parent
RULES = yaml.safe_load((HERE.parents[1] / "roles/stack/vars/main/alert_rules.yml").read_text(encoding="utf-8"))
RULES = RULES["stack_alert_rules"]
CASES: dict[str, list[dict[str, Any]]] = {}
for file in sorted((HERE / "alert_rules_cases").glob("*.yml")):
    # All as text: YAML takes `0x20` for a number.
    CASES.update(yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader))
# How often rules are evaluated; a case over days may say otherwise.
EVALUATION = alert_rules.INTERVAL


def annotations(rule: dict[str, Any], labels: dict[str, str]) -> dict[str, str]:
    """The texts as they arrive, written out from the variables: the words of both languages, with labels in place."""
    return {name: "\n".join(re.sub(r"\{(\w+)\}", lambda match: labels[match[1]], rule[key][lang])
                            for lang in ("ko", "en"))
            for name, key in (("summary", "summary"), ("description", "action"))}


def group(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """One case as promtool reads it. Besides, the query never gives NaN, which Grafana may take for an alert."""
    rule = RULES[name]
    return {
        "name": case["name"],
        "interval": case.get("interval", "1m"),
        "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
        "alert_rule_test": [{
            "alertname": name, "eval_time": at,
            "exp_alerts": [{"exp_labels": {"severity": rule["severity"], **labels},
                            "exp_annotations": annotations(rule, labels)} for labels in firing],
        } for at, firing in case["at"].items()],
        "promql_expr_test": [{"expr": f"({rule['query']}) != ({rule['query']})", "eval_time": at, "exp_samples": []}
                             for at in case["at"]],
    }


def run(promtool: str, directory: Path, name: str, cases: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    rules = directory / "rules.yml"
    rules.write_text(yaml.safe_dump(alert_rules.prometheus({name: RULES[name]}), allow_unicode=True), encoding="utf-8")
    files = []
    cases = sorted(cases, key=lambda case: case.get("evaluation", EVALUATION))
    for evaluation, members in itertools.groupby(cases, key=lambda case: case.get("evaluation", EVALUATION)):
        file = directory / f"test-{evaluation}.yml"
        file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": evaluation,
                                        "tests": [group(name, case) for case in members]}, allow_unicode=True),
                        encoding="utf-8")
        files.append(str(file))
    return subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True)


@pytest.mark.parametrize("name", RULES)
def test_the_rule_fires_when_it_shall(name: str, promtool: str, tmp_path: Path) -> None:
    result = run(promtool, tmp_path, name, CASES[name])
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_wrong_case_is_found(promtool: str, tmp_path: Path) -> None:
    case = {"name": "wrong", "series": {'up{job="coinpilot-core"}': "0x20"}, "at": {"10m": []}}
    assert run(promtool, tmp_path, "BotDown", [case]).returncode != 0


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_cases_that_fire_and_that_do_not(name: str) -> None:
    moments = [firing for case in CASES[name] for firing in case["at"].values()]
    assert any(moments) and not all(moments)


def test_no_case_is_of_a_rule_that_is_gone() -> None:
    assert set(CASES) == set(RULES)
