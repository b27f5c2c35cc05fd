"""A provisioned stand-in host to look at, and playbook runs against it.

``host`` is testinfra's view as root over SSH. ``play`` runs a playbook as a person would, through ansible-runner.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import testinfra
import yaml
from backup_on_host import JOBS, ROOT, STATE, Begun, Gate
from stack_on_host import CHECKOUT, Play, Run, query
from testinfra.host import Host


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stand-in", required=True, help="name of the stand-in host's container")
    parser.addoption("--inventory", required=True, help="inventory that means it")


@pytest.fixture(scope="session")
def stand_in(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--stand-in"))


@pytest.fixture(scope="session")
def inventory(request: pytest.FixtureRequest) -> Path:
    return CHECKOUT / str(request.config.getoption("--inventory"))


@pytest.fixture(scope="session")
def ssh_config(stand_in: str) -> Path:
    return CHECKOUT / ".cache" / "stand_in" / stand_in / "ssh_config"


@pytest.fixture(scope="session")
def control_path() -> Iterator[str]:
    """Where testinfra keeps its one login: a new one each time takes longer than most of what it does."""
    # The name of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="coinpilot-", ignore_cleanup_errors=True) as directory:
        yield f"{directory}/ssh"


@pytest.fixture(scope="session")
def host(ssh_config: Path, control_path: str) -> Host:
    return testinfra.get_host("ssh://coinpilot", ssh_config=str(ssh_config), controlpath=control_path, sudo=True)


@pytest.fixture(scope="session")
def person(ssh_config: Path, control_path: str) -> Host:
    """The host as its user sees it who logs in and does not type sudo."""
    return testinfra.get_host("ssh://coinpilot", ssh_config=str(ssh_config), controlpath=control_path)


@pytest.fixture(scope="session")
def secrets(inventory: Path) -> dict[str, str]:
    class Loader(yaml.SafeLoader):
        """Knows Ansible's `!unsafe`."""

    Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
    text = (inventory / "group_vars" / "all" / "main.yml").read_text()
    return dict(yaml.load(text, Loader=Loader)["stack_secrets"])


@pytest.fixture(scope="session")
def play(inventory: Path, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """``play("site.yml", {"variable": "value"}, "--check")``"""

    def run(playbook: str, variables: dict[str, Any] | None = None, *arguments: str) -> Run:
        artifacts = tmp_path_factory.mktemp("runner")
        extra = artifacts / "extra.json"
        extra.write_text(json.dumps(variables or {}))
        result = ansible_runner.run(
            private_data_dir=str(artifacts), project_dir=str(CHECKOUT), playbook=str(CHECKOUT / playbook),
            inventory=str(inventory), cmdline=" ".join([f"--extra-vars=@{extra}", *arguments]),
            envvars={"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
                     "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}, quiet=True)
        output = result.stdout.read()
        return Run(int(result.rc), output, int((result.stats or {}).get("changed", {}).get("oci", 0)))

    return run


@pytest.fixture
def restored(play: Play) -> Iterator[None]:
    """For tests that leave the host changed: provisions it as the inventory says afterwards."""
    yield
    play("site.yml").expect_success()


@pytest.fixture
def no_backups(host: Host) -> Iterator[None]:
    """An empty backup directory and nothing recorded; what there was is put back afterwards."""
    paths = (ROOT, f"{STATE}/backup", f"{STATE}/metrics")
    for path in paths:
        host.check_output(f"[ -e {path}.kept ] || ! [ -e {path} ] || mv {path} {path}.kept; rm -rf {path}")
    host.check_output(f"mkdir --mode 700 {ROOT}")
    yield
    for path in paths:
        host.check_output(f"rm -rf {path}; ! [ -e {path}.kept ] || mv {path}.kept {path}")


@pytest.fixture
def begin(host: Host, no_backups: None) -> Iterator[Callable[[str], Begun]]:
    """``begin("backup postgres")`` runs the command in the background."""
    yield lambda command: Begun(host, command)
    host.check_output(f"for pid in {JOBS}/*/pid; do ! [ -e $pid ] || [ -e ${{pid%pid}}rc ] || kill -9 $(cat $pid); "
                      f"done; rm -rf {JOBS}")


@pytest.fixture
def gate(host: Host, begin: Callable[[str], Begun]) -> Iterator[Gate]:
    gate = Gate(host)
    yield gate
    gate.remove()


@pytest.fixture
def bulk(host: Host) -> Iterator[int]:
    """A table that makes a dump of some megabytes; its rows."""
    rows = 200_000
    query(host, "DROP TABLE IF EXISTS backup_bulk; CREATE TABLE backup_bulk AS "
                f"SELECT id, md5(id::text) AS text FROM generate_series(1, {rows}) AS id")
    yield rows
    query(host, "DROP TABLE backup_bulk")


@pytest.fixture(scope="session")
def faketime(host: Host) -> Iterator[Callable[[str], str]]:
    """``faketime("-3d")`` is what goes before a command that is to see another time; the host's clock stays."""
    host.check_output("apt-get -q update && apt-get -qy install --no-install-recommends faketime")
    yield lambda time: f"faketime -f '{time}'"
    host.check_output("apt-get -qy purge faketime libfaketime")
