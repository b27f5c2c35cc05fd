"""Every variable of a role is described in meta/argument_specs.yml, with the default that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLES = sorted((Path(__file__).resolve().parents[2] / "roles").iterdir())


def load(path: Path) -> dict:
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_are_the_documented_ones(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    entry_points = load(role / "meta" / "argument_specs.yml")["argument_specs"].values()
    described = {name: option for point in entry_points for name, option in point.get("options", {}).items()}
    assert {name: option["default"] for name, option in described.items() if "default" in option} == defaults
    assert all(option["description"] for option in described.values())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_variables_bear_the_roles_name(role: Path) -> None:
    files = [role / "defaults" / "main.yml", role / "vars" / "main.yml", *role.glob("vars/main/*.yml")]
    names = [name for file in files for name in load(file)]
    assert [name for name in names if not name.lstrip("_").startswith(role.name + "_")] == []
