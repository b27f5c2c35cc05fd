"""Whether Prometheus's and Grafana's files are in force, judged from what was read; what promtool's answers mean."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import grafana_provisioning, prometheus_config
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.prometheus_config import Loaded, World

DESCRIPTION = {"services": {
    "prometheus": {"engine": "prometheus", "container": "c-prometheus", "image": "prom/prometheus:v3", "port": 9090},
    "grafana": {"engine": "grafana", "container": "c-grafana"}}}
METRICS = """# TYPE prometheus_config_last_reload_success_timestamp_seconds gauge
prometheus_config_last_reload_success_timestamp_seconds 1.7954215188659794e+09
# TYPE prometheus_config_last_reload_successful gauge
prometheus_config_last_reload_successful 1
"""


@pytest.mark.parametrize(("world", "status", "stale", "seen"), [
    (World(100, 7, Loaded(True, 100.1)), "PASS", False, "in force"),
    (World(100, 7, Loaded(True, 99.9)), "FAIL", True, "Prometheus has not read it since it was written"),
    (World(100, 7, Loaded(False, 99.9)), "FAIL", True, "Prometheus could not read it and goes on with the old one"),
    # Put right since, but nobody has told it.
    (World(100, 7, Loaded(False, 101)), "FAIL", True, "Prometheus could not read it and goes on with the old one"),
    (World(100, 7, None), "WARN", False,
     "Prometheus runs and does not answer: whether it has read it cannot be told"),
    (World(100, None, None), "PASS", False, "read when Prometheus starts"),
    (World(None, None, None), "PASS", False, "read when Prometheus starts"),
])
def test_whether_prometheus_has_read_its_configuration(world: World, status: str, stale: bool, seen: str) -> None:
    found = prometheus_config.judge(world, DESCRIPTION)
    assert (found.status, prometheus_config.is_stale(world), found.seen.en) == (status, stale, seen)
    assert found.seen.ko != found.seen.en and (status == "PASS" or "c-prometheus" in found.fix.ko)


def test_what_prometheus_says_of_it() -> None:
    assert prometheus_config.read_metrics(METRICS) == Loaded(True, 1795421518.8659794)
    failed = METRICS.replace("successful 1", "successful 0")
    assert prometheus_config.read_metrics(failed) == Loaded(False, 1795421518.8659794)
    assert prometheus_config.read_metrics("<html>not Prometheus</html>") is None
    assert prometheus_config.read_metrics(METRICS.replace("1.79542", "x")) is None
    assert prometheus_config.read_metrics(METRICS[:200]) is None


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A `docker` that does what a script says; its arguments are kept."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(script: str) -> Path:
        program = tmp_path / "docker"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{script}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "arguments"

    return install


def test_the_candidate_is_shown_to_the_image_that_will_read_it(docker: Any) -> None:
    arguments = docker('for a; do case $a in *:/candidate:ro) grep "^a: 1$" ${a%%:*}/*.yml; exit;; esac; done; exit 1')
    prometheus_config.prove("prom/prometheus:v3", "a: 1\n")
    said = arguments.read_text()
    assert "--network none" in said and "--entrypoint promtool prom/prometheus:v3 check config /candidate/" in said


@pytest.mark.parametrize(("script", "case", "said"), [
    ("echo Checking /candidate/prometheus.yml; echo; echo '  FAILED: parsing YAML file /candidate/prometheus.yml: "
     "yaml: unmarshal errors:'; echo '  line 2: field foo not found in type config.plain' >&2; exit 1",
     "wrong", "yaml: unmarshal errors: line 2: field foo not found in type config.plain"),
    ("echo docker: Error response from daemon: No such image: x. >&2; exit 125", "unproven",
     "docker: Error response from daemon: No such image: x."),
])
def test_what_promtool_refuses(docker: Any, script: str, case: str, said: str) -> None:
    docker(script)
    with pytest.raises(prometheus_config.Unproven) as refused:
        prometheus_config.prove("prom/prometheus:v3", "a: 1\n")
    assert (refused.value.case, refused.value.said) == (case, said)
    line = prometheus_config.refusal(refused.value, DESCRIPTION).line("en")
    assert said in line and "nothing was changed" in line


def test_without_docker_it_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(prometheus_config.Unproven) as refused:
        prometheus_config.prove("prom/prometheus:v3", "a: 1\n")
    assert refused.value.case == "unproven"


# Grafana -------------------------------------------------------------------------------------------------------------

class Answering(Engine):
    """An Engine that knows one container, or none."""

    def __init__(self, shown: dict[str, Any] | None) -> None:
        super().__init__()
        self.shown = shown

    def get(self, path: str, **query: Any) -> Any:
        assert path == "/containers/c-grafana/json"
        if self.shown is None:
            raise EngineError("No such container", 404)
        return self.shown


def container(directory: Path, started: str, status: str = "running") -> dict[str, Any]:
    return {"Id": "id", "State": {"Status": status, "StartedAt": started}, "Mounts": [{"Source": str(directory)}]}


@pytest.mark.parametrize(("started", "stale"), [("2020-01-01T00:00:00Z", True), ("2999-01-01T00:00:00.5Z", False)])
def test_whether_grafana_has_read_its_provisioning(tmp_path: Path, started: str, stale: bool) -> None:
    (tmp_path / "alerting").mkdir()
    (tmp_path / "alerting" / "rules.yml").write_text("x")
    world = grafana_provisioning.gather(DESCRIPTION, str(tmp_path), Answering(container(tmp_path, started)))
    assert grafana_provisioning.is_stale(world) is stale
    assert grafana_provisioning.judge(world, DESCRIPTION).status == ("FAIL" if stale else "PASS")


@pytest.mark.parametrize("shown", [None, container(Path("/elsewhere"), "2020-01-01T00:00:00Z"),
                                   container(Path("/"), "2020-01-01T00:00:00Z", "restarting")])
def test_a_grafana_that_runs_without_these_files_is_left_alone(tmp_path: Path, shown: dict[str, Any] | None) -> None:
    world = grafana_provisioning.gather(DESCRIPTION, str(tmp_path), Answering(shown))
    assert not grafana_provisioning.is_stale(world)


def test_a_file_that_was_removed_shows(tmp_path: Path) -> None:
    (tmp_path / "old.yml").write_text("x")
    before = grafana_provisioning.gather(DESCRIPTION, str(tmp_path), Answering(None)).changed_at
    os.utime(tmp_path / "old.yml", (1, 1))  # what a person may set says nothing
    (tmp_path / "old.yml").unlink()
    after = grafana_provisioning.gather(DESCRIPTION, str(tmp_path), Answering(None)).changed_at
    assert before is not None and after is not None and after >= before
    assert grafana_provisioning.gather(DESCRIPTION, str(tmp_path / "none"), Answering(None)).changed_at is None
