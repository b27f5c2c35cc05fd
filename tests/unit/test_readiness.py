from __future__ import annotations

import contextlib
import copy
import socket
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest
import yaml
from ansible_collections.coinpilot.ops.plugins.module_utils import readiness, survey
from ansible_collections.coinpilot.ops.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import problems, worst
from hypothesis import given
from hypothesis import strategies as st

DEFAULTS = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "roles" / "stack" / "defaults" / "main.yml").read_text(encoding="utf-8"))
STACK = {"project": "oci", "root": "/opt/coin-pilot", "services": DEFAULTS["stack_services"]}
GIB = 1 << 30

BARE: dict = {
    "system": {"id": "ubuntu", "version": "22.04", "codename": "jammy", "name": "Ubuntu 22.04.5 LTS"},
    "architecture": "aarch64", "python": [3, 10, 12], "memory": 12 * GIB,
    "docker": {"state": "absent", "package": ""}, "engine": None, "compose": None, "containers": None, "volumes": None,
    "space": {"docker": {"path": "/var/lib", "device": 1, "free": 40 * GIB, "inodes": 2000000},
              "stack": {"path": "/opt", "device": 1, "free": 40 * GIB, "inodes": 2000000}},
    "listeners": [], "errors": {},
}


def running() -> dict:
    """The host with the stack of the runbook on it."""
    world = copy.deepcopy(BARE)
    world.update(docker={"state": "installed", "package": "docker.io"}, compose="2.40.3+ds1-0ubuntu1~22.04.1",
                 engine={"version": "28.2.2", "root": "/var/lib/docker"})
    world["volumes"] = ["oci_" + service["volume"] for service in STACK["services"].values() if "volume" in service]
    world["containers"] = [
        {"name": service["container"], "project": "oci", "running": True,
         "ports": [service["port"]] if "port" in service else [],
         "mounts": {service["mount"]: "oci_" + service["volume"]} if "volume" in service else {}}
        for service in STACK["services"].values()]
    world["listeners"] = [listener(service["port"], "127.0.0.1", 900, "docker-proxy")
                          for service in STACK["services"].values() if "port" in service]
    return world


def listener(port: int, address: str, pid: Any = 4711, process: str = "nginx") -> dict:
    return {"address": address, "port": port, "inode": "1", "pid": pid, "process": process}


def container(world: dict, name: str) -> dict:
    return next(entry for entry in world["containers"] if entry["name"] == name)


def judged(world: dict, **demands: Any) -> list:
    return readiness.judge(world, STACK, readiness.Demands(**demands))


def test_a_bare_host_and_a_running_one_are_ready() -> None:
    for world in (BARE, running()):
        assert worst(judged(world)) == "PASS"


def test_facts_are_those_of_the_host() -> None:
    assert readiness.facts(running()) == {
        "distribution": "ubuntu", "version": "22.04", "codename": "jammy", "architecture": "arm64",
        "docker": "installed", "engine": "28.2.2", "compose": "2.40.3+ds1-0ubuntu1~22.04.1"}


class Trouble(NamedTuple):
    change: Callable[[dict], Any]
    says: list
    demands: dict = {}


def _foreign(world: dict) -> None:
    for name in ("coinpilot-bot", "coinpilot-db"):
        container(world, name)["project"] = "coin-pilot"


@pytest.mark.parametrize("case", [
    Trouble(lambda w: w.update(system={"id": "centos", "version": "9", "codename": "", "name": "CentOS Stream 9"}),
            ["system: CentOS Stream 9 is not supported. "
             "Use a VM with Ubuntu 22.04, 24.04 or 26.04, or Debian 12 or 13"]),
    Trouble(lambda w: w["system"].update(version="20.04", name="Ubuntu 20.04 LTS"),
            ["system: Ubuntu 20.04 LTS is not supported. "
             "Use a VM with Ubuntu 22.04, 24.04 or 26.04, or Debian 12 or 13"]),
    Trouble(lambda w: w.update(architecture="armv7l"),
            ["architecture: armv7l is not supported. Use a 64-bit VM, x86_64 or aarch64"]),
    Trouble(lambda w: w.update(python=[3, 8, 10]),
            ["Python: 3.8.10 is too old. Use a supported system; its own Python is new enough"]),
    Trouble(lambda w: w["space"]["docker"].update(free=int(5.2 * GIB)),
            ["disk /var/lib: 5.2 GiB free; images and containers and the stack's files need 5.5 GiB. "
             + readiness._FREE_UP.en]),
    Trouble(lambda w: w["space"]["stack"].update(free=100 << 20, device=2),
            ["disk /opt: 100 MiB free; the stack's files need 512 MiB. " + readiness._FREE_UP.en]),
    Trouble(lambda w: w["space"]["docker"].update(inodes=12),
            ["disk /var/lib: only 12 inodes free. " + readiness._FREE_UP.en]),
    Trouble(lambda w: w["space"]["docker"].update(inodes=None), []),
    Trouble(lambda w: w.update(engine=None, errors={"engine": "the Docker Engine does not answer"}),
            ["Docker: installed, but its Engine does not answer: the Docker Engine does not answer. Start it: "
             "sudo systemctl start docker - if it fails: sudo journalctl -u docker -n 50"]),
    Trouble(lambda w: w["engine"].update(version="20.10.24"),
            ["Docker: Engine 20.10.24 is too old. Upgrade it (its containers restart): "
             "sudo apt-get update && sudo apt-get install --only-upgrade docker.io"]),
    Trouble(lambda w: w.update(compose="2.18.1"),
            ["Docker Compose: 2.18.1 is too old. Upgrade it: "
             "sudo apt-get update && sudo apt-get install --only-upgrade docker-compose-v2"]),
    Trouble(lambda w: w.update(compose=None), []),
    Trouble(lambda w: w["containers"].append({"name": "wiki", "project": "", "running": True, "ports": [3000],
                                              "mounts": {}}),
            ["port 3000: held by the container wiki. Stop it if it is not needed: docker stop wiki"]),
    Trouble(lambda w: w["containers"].append({"name": "wiki", "project": "", "running": False, "ports": [3000],
                                              "mounts": {}}), []),
    Trouble(_foreign,
            ["container coinpilot-db, coinpilot-bot: of the Compose project coin-pilot; the volumes of oci are others, "
             "and the stack would start with empty ones. If the data is that project's, set stack_project: coin-pilot; "
             "if it is not needed: docker rm -f coinpilot-db coinpilot-bot"]),
    Trouble(lambda w: container(w, "coinpilot-bot").update(project=""),
            ["container coinpilot-bot: not made by Compose, and the name is needed. See where the data is "
             "(docker inspect coinpilot-bot), then: docker rm -f coinpilot-bot"]),
    Trouble(lambda w: container(w, "coinpilot-n8n").update(mounts={"/home/node/.n8n": "n8n_data"}),
            ["volume oci_coinpilot_n8n_data: coinpilot-n8n keeps its data in n8n_data, and would lose sight of it. "
             "Check stack_project, or move the data. If it is not needed: -e host_readiness_allow_new_volumes=true"]),
    Trouble(lambda w: w.update(
        containers=[], listeners=[], volumes=["coin-pilot_coinpilot_db_data", "coinpilot_db_data", "other"]),
            ["volume oci_coinpilot_db_data: is not there; the data may be in coin-pilot_coinpilot_db_data, "
             "coinpilot_db_data, and a new, empty volume would be attached. Check stack_project. "
             "If a new volume is right: -e host_readiness_allow_new_volumes=true"]),
    Trouble(lambda w: w.update(containers=[], listeners=[], volumes=["coinpilot_db_data"]), [],
            {"allow_new_volumes": True}),
    Trouble(lambda w: w.update(volumes=None, errors={"volumes": "HTTP 500"}),
            ["volume: could not be read: HTTP 500. Look on the host as root"]),
    Trouble(lambda w: w.update(containers=None, errors={"containers": "HTTP 500"}), [
        "port 8501: docker-proxy (process 900) listens on 127.0.0.1. "
        "Stop it or move it to another port: sudo ss -ltnp 'sport = :8501'",
        "port 5678: docker-proxy (process 900) listens on 127.0.0.1. "
        "Stop it or move it to another port: sudo ss -ltnp 'sport = :5678'",
        "port 9090: docker-proxy (process 900) listens on 127.0.0.1. "
        "Stop it or move it to another port: sudo ss -ltnp 'sport = :9090'",
        "port 3000: docker-proxy (process 900) listens on 127.0.0.1. "
        "Stop it or move it to another port: sudo ss -ltnp 'sport = :3000'",
        "container: could not be read: HTTP 500. Look on the host as root",
        "volume: could not be read: HTTP 500. Look on the host as root"]),
    Trouble(lambda w: w.update(system=None, memory=None, errors={"system": "gone", "memory": "gone"}),
            ["system: could not be read: gone. Look on the host as root",
             "memory: could not be read: gone. Look on the host as root"]),
], ids=lambda case: (case.says or ["ready"])[0][:60])
def test_trouble_on_a_running_host(case: Trouble) -> None:
    world = running()
    case.change(world)
    assert [finding.line("en") for finding in problems(judged(world, **case.demands))] == case.says


NO_PLUGIN = ("Docker: Debian 12's own packages are too old, and have no Compose plugin. "
             "Set docker_host_package_source: docker")
STUCK = ("Docker: Debian 12's own docker.io is too old, and has no Compose plugin. "
         "When the stack may stop, replace it (volumes stay): sudo apt-get remove docker.io "
         "- and set docker_host_package_source: docker")


@pytest.mark.parametrize("case", [
    Trouble(lambda w: w["listeners"].append(listener(8501, "0.0.0.0")),
            ["port 8501: nginx (process 4711) listens on 0.0.0.0. "
             "Stop it or move it to another port: sudo ss -ltnp 'sport = :8501'"]),
    Trouble(lambda w: w["listeners"].append(listener(8501, "::", None, "")),
            ["port 8501: a process that cannot be named listens on ::. See which: sudo ss -ltnp 'sport = :8501'"]),
    Trouble(lambda w: w["listeners"].append(listener(8501, "::ffff:127.0.0.1")),
            ["port 8501: nginx (process 4711) listens on ::ffff:127.0.0.1. "
             "Stop it or move it to another port: sudo ss -ltnp 'sport = :8501'"]),
    Trouble(lambda w: w["listeners"].append(listener(8501, "10.0.0.5")), []),
    Trouble(lambda w: w["listeners"].append(listener(8501, "::1")), []),
    Trouble(lambda w: w.update(listeners=None, errors={"listeners": "denied"}),
            [f"port {port}: could not be read: denied. Look on the host as root" for port in (8501, 5678, 9090, 3000)]),
    Trouble(lambda w: w.update(docker={"state": "interrupted", "package": "docker.io"}), []),
    Trouble(lambda w: w.update(docker={"state": "unread", "package": ""}, errors={"docker": "timed out"}),
            ["Docker: could not be read: timed out. Look on the host as root"]),
    Trouble(lambda w: w["system"].update(id="debian", version="12"), [NO_PLUGIN]),
    Trouble(lambda w: w["system"].update(id="debian", version="12"), [], {"package_source": "docker"}),
    Trouble(lambda w: w["system"].update(id="debian", version="13"), []),
    Trouble(lambda w: (w["system"].update(id="debian", version="12"),
                       w.update(docker={"state": "interrupted", "package": "docker.io"})), [STUCK]),
    Trouble(lambda w: (w["system"].update(id="debian", version="12"),
                       w.update(docker={"state": "interrupted", "package": "docker-ce"})), []),
    Trouble(lambda w: w["space"].update(docker=None) or w.update(errors={"space docker": "gone"}),
            ["disk: could not be read: gone. Look on the host as root"]),
], ids=lambda case: (case.says or ["ready"])[0][:60])
def test_trouble_on_a_bare_host(case: Trouble) -> None:
    world = copy.deepcopy(BARE)
    case.change(world)
    assert [finding.line("en") for finding in problems(judged(world, **case.demands))] == case.says


def test_too_little_memory_is_a_warning() -> None:
    found = [finding for finding in judged({**BARE, "memory": 6 * GIB}) if finding.status == "WARN"]
    assert [finding.line("en") for finding in found] == [
        "memory: 6.0 GiB, and the services' limits add up to 10.2 GiB. "
        "Lower memory in stack_service_overrides, or use a larger VM"]


def test_every_problem_is_listed_at_once() -> None:
    world = copy.deepcopy(BARE)
    world.update(architecture="i686", listeners=[listener(3000, "0.0.0.0")])
    world["system"].update(version="18.04")
    assert len(problems(judged(world))) == 3


def test_every_case_of_every_rule_can_be_said() -> None:
    values = dict.fromkeys((
        "name", "free", "needed", "uses", "inodes", "total", "limits", "version", "package", "error", "holder", "owner",
        "pid", "address", "project", "other", "names", "others", "container"), "x")
    for rule in readiness.RULES.values():
        for case in rule.cases:
            finding = rule.finding(case, "x", **values)
            assert finding.seen.en and finding.seen.ko
            assert finding.status == "PASS" or (finding.fix.en and finding.fix.ko)


@pytest.mark.parametrize(("text", "expected"), [
    ("2.26.1-4", (2, 26, 1)), ("v5.0.0", (5, 0, 0)), ("2.40.3+ds1-0ubuntu1~22.04.1", (2, 40, 3)),
    ("dev", ()), ("", ())])
def test_version(text: str, expected: tuple) -> None:
    assert readiness.version(text) == expected


TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2135 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0 100 0 0 10 0
   2: 0100007F:2135 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address remote_address st tx rx tr when retrnsmt uid timeout inode
   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 51 1 0
   1: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 52 1 0
   2: 0000000000000000FFFF00000100007F:0BB8 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 53 1 0
"""


def test_listeners_are_read_from_the_kernels_table() -> None:
    assert list(survey.parse_tcp(TCP, "<")) == [("127.0.0.1", 8501, "41"), ("0.0.0.0", 22, "42")]
    assert list(survey.parse_tcp(TCP6, "<")) == [
        ("::", 3000, "51"), ("::1", 3000, "52"), ("::ffff:127.0.0.1", 3000, "53")]


@given(st.text(alphabet="0123456789ABCDEF: \n", max_size=300))
def test_a_broken_table_is_an_error_that_gather_expects(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, LookupError):
        list(survey.parse_tcp(text))


def test_a_real_listener_is_found_with_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        mine = [entry for entry in survey._listeners([port]) if entry["port"] == port]
    assert [(entry["address"], bool(entry["pid"])) for entry in mine] == [("127.0.0.1", True)]


class Recorded(Engine):
    """An Engine that answers from a recording; what is not in it is an error."""

    def __init__(self, answers: dict):
        super().__init__("/nowhere")
        self.answers = answers

    def get(self, path: str, **query: Any) -> Any:
        if path not in self.answers:
            raise EngineError("HTTP 500", 500)
        return self.answers[path]


def test_an_engines_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_docker", lambda: {"state": "installed", "package": "docker.io"})
    monkeypatch.setattr(survey, "_compose", lambda: "2.26.1")
    engine = Recorded({
        "/version": {"Version": "26.1.5"}, "/info": {"DockerRootDir": "/"},
        "/containers/json": [{
            "Names": ["/coinpilot-n8n"], "State": "running", "Labels": {"com.docker.compose.project": "oci"},
            "Ports": [{"IP": "127.0.0.1", "PrivatePort": 5678, "PublicPort": 5678, "Type": "tcp"}, {"PrivatePort": 9}],
            "Mounts": [{"Type": "volume", "Name": "oci_n8n", "Destination": "/home/node/.n8n", "Source": "/var/…"},
                       {"Type": "bind", "Destination": "/etc/x", "Source": "/opt/x"}]}],
        "/volumes": {"Volumes": None}})
    world = survey.gather(STACK, engine)
    assert world["containers"] == [{"name": "coinpilot-n8n", "project": "oci", "running": True, "ports": [5678],
                                    "mounts": {"/home/node/.n8n": "oci_n8n", "/etc/x": "/opt/x"}}]
    assert (world["engine"], world["volumes"], world["compose"]) == ({"version": "26.1.5", "root": "/"}, [], "2.26.1")
    assert world["space"]["docker"]["path"] == "/" and world["errors"] == {}


def test_what_an_engine_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_docker", lambda: {"state": "installed", "package": "docker.io"})
    world = survey.gather(STACK, Recorded({"/version": {"Version": "26.1.5"}, "/info": {"DockerRootDir": "/"}}))
    assert world["containers"] is None and world["errors"]["containers"] == "HTTP 500"
    assert worst(judged(world)) in ("FAIL", "UNKNOWN")
