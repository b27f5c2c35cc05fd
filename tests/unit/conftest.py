"""Lets the tests import the collection by its name, as Ansible does, from the checkout; and a real `docker compose`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))


@pytest.fixture(scope="session")
def compose_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME in which `docker compose` is the one of requirements-dev.txt. It resolves files; there is no Engine."""
    home = tmp_path_factory.mktemp("home")
    plugins = home / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    program = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    assert program, "docker-compose is not beside this Python: make setup"
    (plugins / "docker-compose").symlink_to(program)
    return home


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker of rules and queries."""
    program = shutil.which("promtool")
    assert program, "promtool is not installed: make setup"
    return program
