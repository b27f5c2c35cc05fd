"""The dashboards are what Grafana loads, explain themselves, and ask for metrics that somebody exports.

Grafana itself is in no package registry: its own generated models stand in for it, and promtool for Prometheus.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grafana_dashboards
import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import (
    backup_state,
    backup_store,
    host_metrics,
    verify_metrics,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

CHECKOUT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).parent / "recorded"
DASHBOARDS = grafana_dashboards.load()
PANELS = [pytest.param(panel, id=f"{uid}-{panel['id']}")
          for uid, dashboard in DASHBOARDS.items() for panel in dashboard["panels"] if panel["type"] != "row"]
WITH_DATA = [parameter for parameter in PANELS if "targets" in parameter.values[0]]
# What they show is what is: a last value of yesterday would say that all is well when nothing is known.
OF_NOW = ("stat", "bargauge", "table")
UNITS = {value for name, value in vars(units).items() if name[0].isupper()}
# Prometheus makes these itself, of every target.
OF_EVERY_TARGET = {"up", "scrape_duration_seconds"}
# How a description begins to say what it means that there is nothing to see, or a piece missing.
NO_DATA_KOREAN = re.compile("데이터 없음: |빈 [칸곳]: |끊긴 선")
NO_DATA_ENGLISH = re.compile("No data: |Empty: |An empty cell: |[Aa] gap")
METRIC = re.compile(r"\b(?:coinpilot_|node_|prometheus_|scrape_|up\b)\w*")


@pytest.fixture(params=DASHBOARDS)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return DASHBOARDS[request.param]


def test_there_is_what_the_others_link_to() -> None:
    assert set(DASHBOARDS) == {"coinpilot-overview", "coinpilot-infrastructure", "coinpilot-backups-and-checks"}
    for uid, dashboard in DASHBOARDS.items():
        assert {link["url"] for link in dashboard["links"]} == {f"/d/{other}" for other in DASHBOARDS if other != uid}


def test_settings(dashboard: dict[str, Any]) -> None:
    settings = {key: dashboard[key] for key in ("schemaVersion", "editable", "refresh", "timezone", "time")}
    # Grafana 10.0 writes schema 38; later ones read and migrate it.
    assert settings == {"schemaVersion": 38, "editable": True, "refresh": "30s", "timezone": "browser",
                        "time": {"from": "now-24h", "to": "now"}}


def test_it_bears_the_mark_by_which_the_role_removes_it_again(dashboard: dict[str, Any]) -> None:
    assert dashboard["description"].endswith("Written by coinpilot.ops.")


def test_grafanas_models_know_every_key(dashboard: dict[str, Any]) -> None:
    register_default_plugins()
    decoded = json.loads(json.dumps(models.Dashboard.from_json(dashboard), cls=JSONEncoder))
    assert list(lost(dashboard, decoded)) == []


def lost(value: Any, decoded: Any, path: str = "") -> Iterator[str]:
    """What of a value did not come back."""
    if isinstance(value, dict) and isinstance(decoded, dict):
        for key in value:
            yield from lost(value[key], decoded.get(key, "nothing"), f"{path}.{key}")
    elif isinstance(value, list) and isinstance(decoded, list) and len(value) == len(decoded):
        for number, (entry, other) in enumerate(zip(value, decoded, strict=True)):
            yield from lost(entry, other, f"{path}[{number}]")
    elif value != decoded:
        yield f"{path}: {value!r} became {decoded!r}"


def test_panels_have_ids_and_places_of_their_own(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 and place["w"] > 0 and place["h"] > 0 for place in places)
    for one, other in itertools.combinations(places, 2):
        assert (one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]), (one, other)


def test_lines_of_panels_are_full(dashboard: dict[str, Any]) -> None:
    """Grafana moves panels up into room that is left."""
    covered = sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in dashboard["panels"])
    assert covered == 24 * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_explains_itself_in_both_languages(panel: dict[str, Any]) -> None:
    korean, english = panel["description"].split("\n\n")
    assert re.search("[가-힣]", korean) and not re.search("[가-힣]", english)
    if "targets" in panel:
        assert NO_DATA_KOREAN.search(korean) and NO_DATA_ENGLISH.search(english), "it does not say what no data means"


@pytest.mark.parametrize("panel", WITH_DATA)
def test_a_panel_says_its_unit_and_that_it_has_no_data(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert re.search("[가-힣].* · .*[a-z]", defaults["noValue"]) or defaults["noValue"].startswith("node-exporter")
    assert known_units(panel) <= UNITS


def known_units(panel: dict[str, Any]) -> set[str]:
    config = panel["fieldConfig"]
    return {config["defaults"]["unit"]} | {prop["value"] for override in config["overrides"]
                                           for prop in override["properties"] if prop["id"] == "unit"}


@pytest.mark.parametrize("panel", WITH_DATA)
def test_overrides_are_for_what_is_there(panel: dict[str, Any]) -> None:
    names = {target["legendFormat"] for target in panel["targets"]} | {
        name for step in panel.get("transformations", []) if step["id"] == "organize"
        for name in step["options"]["renameByName"].values()}
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["id"] == "byRegexp" or override["matcher"]["options"] in names


@pytest.mark.parametrize("panel", WITH_DATA)
def test_what_shows_now_asks_for_now(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert (target["instant"], target["range"]) == ((True, False) if panel["type"] in OF_NOW else (False, True))


@pytest.mark.parametrize("panel", [parameter for parameter in WITH_DATA if parameter.values[0]["type"] in OF_NOW])
def test_what_is_not_known_is_not_green(panel: dict[str, Any]) -> None:
    """Grafana paints a value that is not there as the lowest there can be, unless a mapping says otherwise."""
    defaults = panel["fieldConfig"]["defaults"]
    overrides = [{prop["id"]: prop["value"] for prop in override["properties"]}
                 for override in panel["fieldConfig"]["overrides"]]
    if panel["type"] == "table":
        painted = [look for look in overrides if "custom.cellOptions" in look]
    else:
        painted = [defaults | look for look in [{}, *overrides]] * (panel["options"].get("colorMode") != "none")
    for look in painted:
        special = [mapping["options"] for mapping in look["mappings"] if mapping["type"] == "special"]
        assert [(options["match"], options["result"]["color"]) for options in special] == [("null+nan", "orange")]


def test_trends_of_what_happens_once_a_night_are_long() -> None:
    panels = DASHBOARDS["coinpilot-backups-and-checks"]["panels"]
    assert {panel.get("timeFrom") for panel in panels if panel["type"] in ("timeseries", "state-timeline")} == {"30d"}


@pytest.mark.parametrize("panel", WITH_DATA)
def test_colours_stand_beside_words(panel: dict[str, Any]) -> None:
    """A mapping that paints also writes: not everybody tells red from green."""
    mappings = [*panel["fieldConfig"]["defaults"]["mappings"], *(
        mapping for override in panel["fieldConfig"]["overrides"] for prop in override["properties"]
        if prop["id"] == "mappings" for mapping in prop["value"])]
    for mapping in mappings:
        results = mapping["options"].values() if mapping["type"] == "value" else [mapping["options"]["result"]]
        assert all(result["text"] and result["color"] for result in results)


@pytest.mark.parametrize("panel", WITH_DATA)
def test_the_datasource_is_the_provisioned_one(panel: dict[str, Any]) -> None:
    template = (CHECKOUT / "roles" / "monitoring" / "templates" / "datasources.yml.j2").read_text(encoding="utf-8")
    uid = re.findall(r"^ +uid: (\S+)$", template, re.MULTILINE)
    assert [{"type": "prometheus", "uid": uid[0]}] * (len(panel["targets"]) + 1) == [
        panel["datasource"], *(target["datasource"] for target in panel["targets"])]


def expressions() -> list[str]:
    return sorted({query.expression for dashboard in DASHBOARDS.values()
                   for query in grafana_dashboards.queries(dashboard)})


def test_prometheus_understands_every_query(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": expression} for number, expression in enumerate(expressions())]
    groups = [{"name": "queries", "rules": rules}]
    assert_accepts([promtool, "check", "rules"], tmp_path / "queries.yml", {"groups": groups})


def assert_accepts(command: list[str], path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = subprocess.run([*command, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


FRESH = {"coinpilot_metrics_last_run_timestamp_seconds": "0+15x2000"}
BOT_RUNS = {'coinpilot_container_up{service="bot"}': "1x2000"}
GIBIBYTE = 2 ** 30
SEVEN_HOURS = 7 * 3600
# Panel, what there is (a value every 15 s), when it is looked at in seconds, and what the panel's first query answers.
CASES = {
    "a service runs and is healthy": (
        "서비스 · Services", FRESH | BOT_RUNS | {'coinpilot_container_healthy{service="bot"}': "1x2000"}, 600,
        {'{service="bot"}': 2}),
    "it runs and hangs": (
        "서비스 · Services", FRESH | BOT_RUNS | {'coinpilot_container_healthy{service="bot"}': "0x2000"}, 600,
        {'{service="bot"}': 1}),
    "it runs, and whether it is healthy is not known": (
        "서비스 · Services", FRESH | BOT_RUNS, 600, {'{service="bot"}': 1.5}),
    "it is down": (
        "서비스 · Services",
        FRESH | {'coinpilot_container_up{service="bot"}': "0x2000",
                 'coinpilot_container_healthy{service="bot"}': "0x2000"}, 600, {'{service="bot"}': 0}),
    "nobody writes the metrics any more": (
        "서비스 · Services", BOT_RUNS | {'coinpilot_container_healthy{service="bot"}': "1x2000",
                                      "coinpilot_metrics_last_run_timestamp_seconds": "0+15x20 300x2000"}, 600, {}),
    "the bot's target is gone": ("봇 · Bot", {}, 600, {"{}": 0}),
    "a target has a backup": (
        "마지막 백업 후 경과 · Age of the last backup",
        {'coinpilot_backup_due_timestamp_seconds{target="redis"}': "0x2000",
         'coinpilot_backup_newest_timestamp_seconds{target="redis"}': "100x2000"}, 600, {'{target="redis"}': 500}),
    "a target has none": (
        "마지막 백업 후 경과 · Age of the last backup",
        {'coinpilot_backup_due_timestamp_seconds{target="redis"}': "0x2000"}, 600, {'{target="redis"}': 1e9}),
    "the disk fills by 15 MiB a minute, and 7 GiB are left": (
        "가득 찰 때까지 · Until the disk is full",
        {'coinpilot_filesystem_avail_bytes{path="/"}': f"{7 * GIBIBYTE + SEVEN_HOURS * 2 ** 18}-{15 * 2 ** 18}x2000"},
        SEVEN_HOURS, {"{}": 7 * GIBIBYTE / 2 ** 18}),
    "it has been measured for an hour only": (
        "가득 찰 때까지 · Until the disk is full",
        {'coinpilot_filesystem_avail_bytes{path="/"}': f"{GIBIBYTE}-{GIBIBYTE // 1000}x2000"}, 3600, {"{}": -1}),
    "there is no swap": (
        "스왑 · Swap", {"node_memory_SwapTotal_bytes": "0x2000", "node_memory_SwapFree_bytes": "0x2000"}, 600,
        {"{}": -1}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_panel_shows(case: str, promtool: str, tmp_path: Path) -> None:
    panel, series, at, expected = CASES[case]
    query = next(query for dashboard in DASHBOARDS.values() for query in grafana_dashboards.queries(dashboard)
                 if query.panel == panel)
    test = {"interval": "15s", "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": query.expression, "eval_time": f"{at}s", "exp_samples": [
                {"labels": labels, "value": value} for labels, value in expected.items()]}]}
    assert_accepts([promtool, "test", "rules"], tmp_path / "test.yml", {"tests": [test]})


def test_every_metric_is_exported_by_somebody() -> None:
    asked_for = {name for expression in expressions() for name in METRIC.findall(without_strings(expression))}
    assert asked_for - exported() == set()


def without_strings(expression: str) -> str:
    return re.sub(r'"[^"]*"', '""', expression)


def exported() -> set[str]:
    recorded = {line for path in RECORDED.glob("metrics_of_*.txt") for line in path.read_text().split()}
    return recorded | of_the_bot() | of_the_host() | OF_EVERY_TARGET


def of_the_bot() -> set[str]:
    source = (CHECKOUT / "tests" / "sample_app" / "app" / "bot.py").read_text(encoding="utf-8")
    names = set()
    for kind, name in re.findall(r'= (Gauge|Counter|Histogram)\("(\w+)"', source):
        names |= {name + end for end in {"Gauge": ("",), "Counter": ("_total",), "Histogram": ("_bucket",)}[kind]}
    return names


def of_the_host() -> set[str]:
    """What the code writes for the textfile collector when there is all that it can tell of."""
    texts = [backups_metrics(), hosts_metrics(), verify_metrics.render("coinpilot", [], 0)]
    return set(re.findall(r"^# TYPE (\w+)", "\n".join(texts), re.MULTILINE))


def backups_metrics() -> str:
    at = {"at": "2026-11-22T18:05:00Z", "name": "backup"}
    state = {"last_attempt": at, "last_success": {**at, "size": 1, "seconds": 1}, "last_result": "success",
             "last_rehearsal": {**at, "ok": True}, "last_rehearsal_success": at}
    backup = backup_store.Backup("postgres", "backup", "/backups", "daily", 0, ("backup.dump",),
                                  {"suspect": False, "files": []}, True)
    return backup_state.render_metrics("coinpilot", "postgres", state, [backup])


def hosts_metrics() -> str:
    container = host_metrics.Container(
        entry={"State": "running", "Labels": {"com.docker.compose.service": "bot"}},
        inspection={"RestartCount": 0, "State": {"StartedAt": "2026-11-22T18:05:00Z", "OOMKilled": False},
                    "HostConfig": {"Memory": 1}},
        stats={"memory_stats": {"usage": 1}, "cpu_stats": {"cpu_usage": {"total_usage": 1}},
               "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 1}}})
    world = host_metrics.World(at=0, utc_offset=0, containers=[container], certificates={"/certificate.pem": 0},
                               file_systems=[host_metrics.FileSystem("/", 2, 1, 2, 1)])
    return host_metrics.render(world, {"name": "coinpilot", "services": {"bot": {}}, "backup": {
        "targets": {"postgres": {"schedule": "5 3 * * *"}}, "rehearsal": {"schedule": "35 4 * * 0"}}})
