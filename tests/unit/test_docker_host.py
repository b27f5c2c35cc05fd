"""Which packages the host is given, for what it has already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).resolve().parents[2] / "roles" / "docker_host"
TOOLS = ["ca-certificates", "cron", "logrotate", "rsync", "tzdata", "unattended-upgrades", "zstd"]
DISTRIBUTION_DEBIAN = ["docker.io", "docker-cli", "docker-compose"]
DISTRIBUTION_UBUNTU = ["docker.io", "docker-buildx", "docker-compose-v2"]
DOCKER = ["docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin"]


def render(expression: str, system: str, installed: list[str], source: str, check: bool = False) -> Any:
    loader = DataLoader()
    variables = {**loader.load_from_file(str(ROLE / "defaults" / "main.yml"), trusted_as_template=True),
                 **loader.load_from_file(str(ROLE / "vars" / "main.yml"), trusted_as_template=True),
                 "docker_host_package_source": source, "ansible_check_mode": check}
    # A package that was removed and left its configuration is "rc".
    stdout = "\n".join([f"{system} codename arm64", *(f"ii  {name}" for name in installed), "rc  docker-ce-rootless"])
    variables["docker_host_query"] = {"stdout": stdout, "stdout_lines": stdout.splitlines()}
    return Templar(loader=loader, variables=variables).template(variables[expression])


@pytest.mark.parametrize(("system", "installed", "source", "missing"), [
    ("debian", [], "distribution", [*TOOLS, *DISTRIBUTION_DEBIAN]),
    ("ubuntu", [], "distribution", [*TOOLS, *DISTRIBUTION_UBUNTU]),
    ("ubuntu", TOOLS, "docker", DOCKER),
    ("ubuntu", [*TOOLS, *DISTRIBUTION_UBUNTU], "distribution", []),
    # An engine that is there stays what it is, whatever is asked for.
    ("ubuntu", [*TOOLS, *DISTRIBUTION_UBUNTU], "docker", []),
    ("ubuntu", [*TOOLS, *DOCKER], "distribution", []),
    ("ubuntu", [*TOOLS, "docker.io"], "docker", ["docker-buildx", "docker-compose-v2"]),
    ("ubuntu", [*TOOLS, "docker-ce", "docker-ce-cli", "containerd.io"], "distribution",
     ["docker-buildx-plugin", "docker-compose-plugin"]),
    # What does the same is not asked for beside it.
    ("ubuntu", [*TOOLS, "docker.io", "docker-buildx-plugin", "docker-compose-plugin"], "distribution", []),
    ("debian", [*TOOLS, "docker.io", "docker-ce-cli", "docker-compose-plugin"], "distribution", []),
    # Compose of before version 2 on Ubuntu is no Compose.
    ("ubuntu", [*TOOLS, "docker.io", "docker-buildx", "docker-compose"], "distribution", ["docker-compose-v2"]),
])
def test_missing_packages(system: str, installed: list[str], source: str, missing: list[str]) -> None:
    assert sorted(render("docker_host_missing", system, installed, source)) == sorted(missing)


@pytest.mark.parametrize(("installed", "check", "bare"), [
    ([], True, True), ([], False, False), (["docker.io"], True, False), (["docker-ce"], True, False)])
def test_only_a_check_of_a_bare_host_skips_docker(installed: list[str], check: bool, bare: bool) -> None:
    assert render("docker_host_bare", "ubuntu", installed, "distribution", check) is bare
