"""Read Grafana's provisioning files as Grafana does, and refuse what it would refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Item = dict[str, Any]

# Which keys of which list an entry must have: without them Grafana does not start.
REQUIRED = {
    "datasources": ("name", "type"),
    "providers": ("name", "options"),
    "groups": ("name", "folder", "interval", "rules"),
    "rules": ("uid", "title", "condition", "data"),
    "contactPoints": ("name", "receivers"),
    "receivers": ("uid", "type", "settings"),
    "policies": ("receiver",),
}
# `$$` is a dollar; $NAME, ${NAME} and $__env{NAME} are the environment's; $__file{PATH} is a file's text.
VARIABLE = re.compile(r"\$\$|\$__(env|file)\{([^}]+)\}|\$\{(\w+)\}|\$(\w+)")


class ProvisioningError(Exception):
    """A file that Grafana would not start with."""


@dataclass
class Provisioned:
    datasources: list[Item] = field(default_factory=list)
    dashboards: list[Item] = field(default_factory=list)  # each {"dashboard": ..., "folder": ...}
    alert_groups: list[Item] = field(default_factory=list)
    contact_points: list[Item] = field(default_factory=list)
    policies: list[Item] = field(default_factory=list)

    def summary(self) -> str:
        rules = sum(len(group["rules"]) for group in self.alert_groups)
        return (
            f"datasources={len(self.datasources)} dashboards={len(self.dashboards)} "
            f"alert_rules={rules} contact_points={len(self.contact_points)}"
        )


def load(directory: Path, environment: dict[str, str]) -> Provisioned:
    found = Provisioned()
    for path, content in _files(directory / "datasources", environment):
        found.datasources += _entries(path, content, "datasources")
    if sum(bool(datasource.get("isDefault")) for datasource in found.datasources) > 1:
        raise ProvisioningError("Only one datasource per organization can be marked as default")
    for path, content in _files(directory / "dashboards", environment):
        for provider in _entries(path, content, "providers"):
            found.dashboards += _dashboards(provider)
    for path, content in _files(directory / "alerting", environment):
        for group in _entries(path, content, "groups"):
            _entries(path, group, "rules")
            found.alert_groups.append(group)
        for contact_point in _entries(path, content, "contactPoints"):
            _entries(path, contact_point, "receivers")
            found.contact_points.append(contact_point)
        found.policies += _entries(path, content, "policies")
    _unique("alert rule", [rule["uid"] for group in found.alert_groups for rule in group["rules"]])
    _unique("contact point", [receiver["uid"] for point in found.contact_points for receiver in point["receivers"]])
    return found


def expand(value: Any, environment: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: expand(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, environment) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] == "file":
            return Path(match[2]).read_text(encoding="utf-8").strip()
        return environment.get(match[2] or match[3] or match[4], "")

    return VARIABLE.sub(replace, value)


def _files(directory: Path, environment: dict[str, str]) -> Iterator[tuple[Path, Item]]:
    for path in sorted(directory.glob("*.y*ml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ProvisioningError(f"{path}: {error}") from error
        if not isinstance(content, dict) or content.get("apiVersion") != 1:
            raise ProvisioningError(f"{path}: apiVersion 1 is missing")
        yield path, expand(content, environment)


def _entries(path: Path, content: Item, key: str) -> list[Item]:
    entries = content.get(key) or []
    for entry in entries:
        for required in REQUIRED[key]:
            if not entry.get(required):
                raise ProvisioningError(f"{path}: an entry of {key} has no {required}")
    return entries


def _dashboards(provider: Item) -> list[Item]:
    found = []
    for path in sorted(Path(provider["options"]["path"]).rglob("*.json")):
        try:
            dashboard = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            # Grafana logs a dashboard that it cannot read, and goes on.
            print(f"logger=provisioning.dashboard level=error failed to load {path}: {error}")
            continue
        dashboard.setdefault("uid", path.stem)
        found.append({"dashboard": dashboard, "folder": provider.get("folder") or ""})
    return found


def _unique(what: str, uids: list[str]) -> None:
    twice = sorted({uid for uid in uids if uids.count(uid) > 1})
    if twice:
        raise ProvisioningError(f"{what} uid used twice: {', '.join(twice)}")
