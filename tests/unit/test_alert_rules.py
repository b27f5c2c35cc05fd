"""Alert rules: what is refused, what an installation may change, and the files that Grafana reads.

Whether a rule fires is in test_alert_rules_promtool.py.
"""

from __future__ import annotations

import getpass
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.coinpilot.ops.plugins.module_utils import alert_rules, definitions
from ansible_collections.coinpilot.ops.plugins.modules import grafana_alert_rules
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import alerting

CHECKOUT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((CHECKOUT / "roles/stack/vars/main/alert_rules.yml").read_text(encoding="utf-8"))
RULES = RULES["stack_alert_rules"]
ENGINES = {"node-exporter": {"engine": "node-exporter"}}
RULE: dict[str, Any] = {
    "group": "application", "severity": "warning", "query": "up", "above": 1, "for": "2m",
    "summary": {"en": "wrong", "ko": "잘못됨"}, "action": {"en": "mend it", "ko": "고치세요"},
}


def lines(rules: Any, overrides: Any = None, language: str = "en") -> list[str]:
    found = alert_rules.problems(rules, {} if overrides is None else overrides, "coinpilot")
    return [definitions.line(finding, language) for finding in found]


def changed(**more: Any) -> dict[str, Any]:
    return {"Mine": {**RULE, **more}}


# What is refused ------------------------------------------------------------------------------------------------------

def test_the_roles_own_rules_can_be_used() -> None:
    assert lines(RULES) == []


BAD = {
    "not a mapping": (["x"], "stack_alert_rules must hold keys and values"),
    "a rule that is none": ({"Mine": "up"}, "Mine must hold keys and values"),
    "a name with blanks": ({"My rule": RULE}, "'My rule' is no name for a rule"),
    "a name in lower case": ({"mine": RULE}, "'mine' is no name for a rule"),
    "a name with a newline": ({"Mine\n": RULE}, "is no name for a rule"),
    "a number for a name": ({7: RULE}, "'7' is no name for a rule"),
    "an unknown key": (changed(threshold=3), "Mine: unknown key 'threshold'"),
    "both limits": (changed(below=1), "Mine: give either above or below, not both"),
    "no limit": ({"Mine": {key: RULE[key] for key in RULE if key != "above"}}, "Mine: missing: above or below"),
    "no query": ({"Mine": {key: RULE[key] for key in RULE if key != "query"}}, "Mine: missing: query"),
    "a limit that is text": (changed(above="1"), "Mine: above must be a number; it is '1'"),
    "a limit that is true": (changed(above=True), "Mine: above must be a number; it is True"),
    "a limit that is NaN": (changed(above=float("nan")), "Mine: above must be a number; it is nan"),
    "a query that is a list": (changed(query=["a", "b"]), "Mine: query must be a query in PromQL; it is list"),
    "a group of two lines": (changed(group="a\nb"), "Mine: group must be a word in lower case; it is 'a b'"),
    "a duration in words": (changed(**{"for": "2 minutes"}), "Mine: for must be a duration such as 30s, 2m or 1h30m"),
    "a duration that is a number": (changed(**{"for": 120}), "Mine: for must be a duration"),
    "an empty duration": (changed(**{"for": ""}), "Mine: for must be a duration"),
    "an empty query": (changed(query=" "), "Mine: query must be a query in PromQL; it is ''"),
    "a severity of its own": (changed(severity="high"), "severity must be one of critical, warning; it is 'high'"),
    "a severity that is a list": (changed(severity=["critical"]), "Mine: severity must be one of critical, warning"),
    "a group with capitals": (changed(group="My Group"), "Mine: group must be a word in lower case"),
    "one language": (changed(summary={"en": "wrong"}), "Mine: summary must be one line each in en and ko"),
    "a text of two lines": (changed(action={"en": "a\nb", "ko": "c"}), "Mine: action must be one line each"),
    "a text with a variable": (changed(summary={"en": "$HOME", "ko": "c"}), "without $ and {{; it is dict"),
    "a text with a template": (changed(action={"en": "docker ps --format '{{.Names}}'", "ko": "c"}),
                               "without $ and {{; it is dict"),
    "a text that is empty": (changed(action={"en": "a", "ko": ""}), "Mine: action must be one line each"),
    "a name that is too long": ({"M" + "ine" * 15: RULE}, "the name is too long"),
    "two names that are one for Grafana": ({"BotDown": RULE, "BOTDown": RULE}, "both become 'coinpilot-bot-down'"),
}


@pytest.mark.parametrize("rules, said", BAD.values(), ids=BAD)
def test_one_line_says_what_is_wrong(rules: Any, said: str) -> None:
    found = lines(rules)
    assert len(found) == 1 and "\n" not in found[0]
    assert found[0].startswith("stack_alert_rules: ") and said in found[0]
    assert lines(rules, language="ko") != found
    with pytest.raises(ValueError):
        alert_rules.merge(rules, {}, {}, "coinpilot")


BAD_OVERRIDES = {
    "not a mapping": ([], "stack_alert_rule_overrides must hold keys and values"),
    "a rule that is not there": ({"BotDwn": {"for": "5m"}}, "there is no rule BotDwn to change"),
    "a new rule that is not whole": ({"Mine": {key: RULE[key] for key in RULE if key != "action"}}, "misses: action"),
    "a bad value": ({"BotDown": {"for": "5 min"}}, "BotDown: for must be a duration"),
    "both limits": ({"BotDown": {"above": 1, "below": 2}}, "BotDown: give either above or below, not both"),
    "off in words": ({"BotDown": {"enabled": "no"}}, "BotDown: enabled must be true or false; it is 'no'"),
}


@pytest.mark.parametrize("overrides, said", BAD_OVERRIDES.values(), ids=BAD_OVERRIDES)
def test_a_line_names_the_variable_of_the_installation(overrides: Any, said: str) -> None:
    found = lines(RULES, overrides)
    assert len(found) == 1
    assert found[0].startswith("stack_alert_rule_overrides: ") and said in found[0]


@pytest.mark.parametrize("hostile", [None, 1, "text", [1], {None: None}, {"A": {None: [], "query": {}}}])
def test_nothing_makes_it_raise(hostile: Any) -> None:
    assert lines(hostile, hostile)


# What an installation may change --------------------------------------------------------------------------------------

def merge(overrides: Any, services: Any = ENGINES) -> dict[str, Any]:
    return alert_rules.merge(RULES, overrides, services, "coinpilot")


def test_a_rule_is_changed_added_and_turned_off() -> None:
    merged = merge({"BotDown": {"for": "5m"}, "DiskFillingUp": {"enabled": False}, "Mine": RULE})
    assert merged["BotDown"] == {**RULES["BotDown"], "for": "5m"}
    assert merged["Mine"] == RULE
    assert set(merged) == set(RULES) - {"DiskFillingUp"} | {"Mine"}
    assert RULES["BotDown"]["for"] == "2m"


def test_a_limit_replaces_the_other_one() -> None:
    assert alert_rules.LIMITS == ("above", "below")
    merged = merge({"BotDown": {"above": 3}})
    assert merged["BotDown"]["above"] == 3 and "below" not in merged["BotDown"]


def test_what_is_not_there_can_be_off() -> None:
    assert merge({"WasOnce": {"enabled": False}}) == merge({})


def test_without_the_host_exporter_only_what_needs_none_is_left() -> None:
    assert set(merge({}, {"bot": {"engine": "application"}})) == {
        "BotDown", "ApiLatencyP95High", "VolatilityMetricMissing", "VolatilityFrozen"}


# The rules themselves -------------------------------------------------------------------------------------------------

def test_the_three_of_the_runbook_keep_their_limits_and_durations() -> None:
    told = {name: (RULES[name].get("above"), RULES[name].get("below"), RULES[name]["for"])
            for name in ("BotDown", "ApiLatencyP95High", "VolatilityMetricMissing")}
    assert told == {"BotDown": (None, 1, "2m"), "ApiLatencyP95High": (2, None, "10m"),
                    "VolatilityMetricMissing": (None, 1, "15m")}


@pytest.mark.parametrize("name", RULES)
def test_each_text_is_in_both_languages(name: str) -> None:
    for key in ("summary", "action"):
        assert re.search("[가-힣]", RULES[name][key]["ko"])
        assert not re.search("[가-힣]", RULES[name][key]["en"])


@pytest.mark.parametrize("name", RULES)
def test_each_action_names_the_same_commands_in_both_languages(name: str) -> None:
    english, korean = (re.findall("`[^`]+`", RULES[name]["action"][lang]) for lang in ("en", "ko"))
    assert english and english == korean


@pytest.mark.parametrize("name", RULES)
def test_each_label_in_a_text_is_one_that_the_query_gives(name: str) -> None:
    wanted = {label for key in ("summary", "action") for text in RULES[name][key].values()
              for label in re.findall(r"\{(\w+)\}", text)}
    given = re.match(r"\(?\(?(?:max|min|count)(?: by \((\w+)\))?", RULES[name]["query"])
    assert wanted <= ({given[1]} if given else set())


# What Grafana reads ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, uid", [
    ("BotDown", "coinpilot-bot-down"), ("ApiLatencyP95High", "coinpilot-api-latency-p95-high"),
    ("VolatilityMetricMissing", "coinpilot-volatility-metric-missing"), ("N8nDown", "coinpilot-n8n-down"),
    ("OOMKilled", "coinpilot-oom-killed"),
])
def test_the_uid_is_made_of_the_name(name: str, uid: str) -> None:
    assert alert_rules.uid("coinpilot", name) == uid


def provisioned(rules: dict[str, Any] = RULES, gone: tuple[str, ...] = ()) -> dict[str, Any]:
    return alert_rules.grafana(rules, "coinpilot", "CoinPilot", gone)


def test_grafanas_own_models_know_all_of_it() -> None:
    """What a model does not know it leaves out on the way back."""
    register_default_plugins()
    for group in provisioned()["groups"]:
        for rule in group["rules"]:
            # Grafana gives these two to each query by itself; its model of a Prometheus query does not name them.
            for key in ("intervalMs", "maxDataPoints"):
                del rule["data"][0]["model"][key]
            told = {**rule, "folderUID": "folder", "ruleGroup": group["name"], "orgID": 1}
            assert json.loads(JSONEncoder().encode(alerting.Rule.from_json(told))) == told


def test_a_rule_as_grafana_gets_it() -> None:
    group = provisioned({"BotDown": RULES["BotDown"]})["groups"][0]
    rule = group["rules"][0]
    assert (group["orgId"], group["name"], group["folder"], group["interval"]) == (
        1, "application", "CoinPilot (managed)", "30s")
    assert (rule["uid"], rule["title"], rule["condition"], rule["for"]) == ("coinpilot-bot-down", "BotDown", "C", "2m")
    assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")
    assert rule["labels"] == {"severity": "critical"}
    assert [query["datasourceUid"] for query in rule["data"]] == ["managed-prometheus", "__expr__", "__expr__"]
    assert rule["data"][0]["model"]["expr"] == RULES["BotDown"]["query"]
    assert rule["data"][2]["model"]["conditions"] == [{"evaluator": {"type": "lt", "params": [1]}}]
    korean, english = rule["annotations"]["summary"].split("\n")
    assert re.search("[가-힣]", korean) and english == RULES["BotDown"]["summary"]["en"]


def test_grafana_finds_no_variable_of_its_environment() -> None:
    """It would put nothing in the place of a name it does not know. A query it takes as it is."""
    assert lines(changed(query='up{job=~"a$"}')) == []
    for group in provisioned(changed(query='up{job=~"a$"}', summary={"en": "{job} is", "ko": "{job}"}))["groups"]:
        for rule in group["rules"]:
            assert rule["data"][0]["model"]["expr"] == 'up{job=~"a$"}'
            assert rule["annotations"]["summary"] == "{{ .Labels.job }}\n{{ .Labels.job }} is"
    for group in provisioned()["groups"]:
        assert "$" not in json.dumps([{**rule, "data": []} for rule in group["rules"]])


def test_both_programs_get_the_same_rules() -> None:
    grafana = {rule["title"]: (rule["data"][0]["model"]["expr"],
                               rule["data"][2]["model"]["conditions"][0]["evaluator"], rule["for"])
               for group in provisioned()["groups"] for rule in group["rules"]}
    signs = {"gt": ">", "lt": "<"}
    assert {rule["alert"]: (rule["expr"], rule["for"])
            for group in alert_rules.prometheus(RULES)["groups"] for rule in group["rules"]} == {
        name: (f"({query}) {signs[limit['type']]} {limit['params'][0]}", duration)
        for name, (query, limit, duration) in grafana.items()}


def test_what_is_no_more_is_deleted_for_good() -> None:
    first = alert_rules.file_text(RULES, "coinpilot", "CoinPilot", None)
    fewer = {name: rule for name, rule in RULES.items() if name != "BotDown"}
    second = alert_rules.file_text(fewer, "coinpilot", "CoinPilot", first)
    third = alert_rules.file_text(fewer, "coinpilot", "CoinPilot", second)
    assert json.loads(first)["deleteRules"] == []
    assert json.loads(second)["deleteRules"] == [{"orgId": 1, "uid": "coinpilot-bot-down"}]
    assert third == second
    assert alert_rules.file_text(RULES, "coinpilot", "CoinPilot", third) == first


@pytest.mark.parametrize("text", [
    "", "{", "apiVersion: 1\ngroups: []\n", "[]", "{}", "null", '{"groups": 1, "deleteRules": []}', "[" * 100_000,
    '{"groups": [{"rules": [{"uid": 1}]}], "deleteRules": []}', '{"groups": [], "deleteRules": [7]}',
])
def test_a_damaged_file_is_not_taken_for_an_empty_one(text: str) -> None:
    with pytest.raises(ValueError, match="not a file of alert rules"):
        alert_rules.file_text(RULES, "coinpilot", "CoinPilot", text)


DOCKER = """#!/bin/sh
for word in "$@"; do case "$word" in *:/candidate:ro) directory=${word%:/candidate:ro};; esac; done
case "$*" in *" check rules /candidate/rules.yml") ;; *) exit 2;; esac
grep -q 'sum(up' "$directory/rules.yml" || exit 0
printf '  FAILED:\\n/candidate/rules.yml: 1:9: "BotDown": could not parse expression\\n'
exit 1
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(grafana_alert_rules, "OWNER", getpass.getuser())
    # Stands for the promtool of Prometheus's image.
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=":")
    (tmp_path / alert_rules.RULES_FILE).parent.mkdir(parents=True)

    def run_module(rules: dict[str, Any], check: bool = False, language: str = "en") -> dict[str, Any]:
        description = {"name": "coinpilot", "title": "CoinPilot", "directory": str(tmp_path), "alert_rules": rules,
                       "services": {"prometheus": {"engine": "prometheus", "image": "prom/prometheus:v3"}}}
        arguments = {"description": description, "language": language, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            grafana_alert_rules.main()
        return dict(json.loads(capsys.readouterr().out))

    return run_module


def test_the_module_writes_once_and_tells_what_it_removes(run: Any, tmp_path: Path) -> None:
    file = tmp_path / alert_rules.RULES_FILE
    shown = run(RULES, check=True)
    assert shown["changed"] and not file.exists() and "coinpilot-bot-down" in shown["diff"]["after"]
    assert run(RULES)["changed"] and not run(RULES)["changed"]
    assert file.stat().st_mode & 0o777 == 0o644
    fewer = run({name: RULES[name] for name in RULES if name != "BotDown"})
    assert fewer["changed"] and fewer["removed"] == ["coinpilot-bot-down"]
    assert "coinpilot-bot-down" in fewer["diff"]["before"]
    assert run(RULES)["removed"] == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_query_that_prometheus_does_not_understand_is_not_written(run: Any, tmp_path: Path, language: str) -> None:
    assert run(RULES)["changed"]
    before = (tmp_path / alert_rules.RULES_FILE).read_bytes()
    said = run({**RULES, "BotDown": {**RULES["BotDown"], "query": "sum(up"}}, language=language)["msg"]
    assert '1:9: "BotDown": could not parse' in said and "/candidate" not in said and "\n" not in said
    assert "stack_alert_rule_overrides" in said
    assert (tmp_path / alert_rules.RULES_FILE).read_bytes() == before


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_module_tells_of_a_damaged_file_in_one_line(run: Any, tmp_path: Path, language: str) -> None:
    file = tmp_path / alert_rules.RULES_FILE
    file.write_text("groups: [", encoding="utf-8")
    said = run(RULES, language=language)["msg"]
    assert f"sudo mv {file} ~/" in said and "\n" not in said
    assert file.read_text(encoding="utf-8") == "groups: ["


# Where messages go ----------------------------------------------------------------------------------------------------

SECRET = "https://discord.invalid/api/webhooks/1/word"


def rendered(name: str, secrets: dict[str, str]) -> Any:
    template = (CHECKOUT / "roles/monitoring/templates" / name).read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["combine"] = lambda one, other: {**one, **other}
    text = environment.from_string(template).render(
        stack_name="coinpilot", stack_settings={}, stack_secrets=secrets,
        stack_services={"prometheus": {"container": "coinpilot-prometheus"}})
    assert SECRET not in text
    return yaml.safe_load(text)


def test_the_contact_point_is_one_that_grafana_knows() -> None:
    point = rendered("contact_points.yml.j2", {"DISCORD_WEBHOOK_URL": SECRET})["contactPoints"][0]
    receiver = point["receivers"][0]
    assert (point["name"], receiver["uid"], receiver["type"]) == ("discord (managed)", "coinpilot-discord", "discord")
    assert json.loads(JSONEncoder().encode(alerting.ContactPoint.from_json({**receiver, "name": "discord"}))) == {
        **receiver, "name": "discord"}
    assert receiver["settings"]["url"] == "${DISCORD_WEBHOOK_URL}"
    # The only one of the environment: Grafana would put nothing in the place of others.
    assert "".join(receiver["settings"].values()).count("$") == 1
    assert "\n" not in receiver["settings"]["title"]


def test_the_policy_is_one_that_grafana_knows() -> None:
    policy = rendered("policies.yml.j2", {"DISCORD_WEBHOOK_URL": SECRET})["policies"][0]
    del policy["orgId"]
    assert json.loads(JSONEncoder().encode(alerting.NotificationPolicy.from_json(policy))) == policy
    assert policy["group_by"] == ["alertname", "service"]


@pytest.mark.parametrize("name", ["contact_points.yml.j2", "policies.yml.j2"])
@pytest.mark.parametrize("secrets", [{}, {"DISCORD_WEBHOOK_URL": ""}], ids=["no key", "an empty key"])
def test_without_an_address_there_is_neither(name: str, secrets: dict[str, str]) -> None:
    assert rendered(name, secrets) == {"apiVersion": 1}
