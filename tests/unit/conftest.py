"""Lets the tests import the collection by its name, as Ansible does, from the checkout; and a real `docker compose`."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

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
    """Prometheus's own tool, which judges queries and rules."""
    program = shutil.which("promtool", path=str(Path(sys.executable).parent)) or shutil.which("promtool")
    assert program, "promtool is missing: tools/promtool.sh gets it"
    return program


@pytest.fixture
def recorded_n8n(tmp_path: Path) -> Callable[..., str]:
    """``recorded_n8n("UPDATE …")`` is the path of the database of tests/corpus/n8n, with some changes made to it."""

    def make(*changes: str) -> str:
        path = tmp_path / "n8n" / "database.sqlite"
        path.parent.mkdir()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript((Path(__file__).parents[1] / "corpus" / "n8n" / "database.sql").read_text())
        for change in changes:
            connection.execute(change)
        connection.commit()
        connection.close()
        return str(path)

    return make
