"""Read Grafana's provisioning files as Grafana does, and refuse what it would refuse.

Stricter than Grafana in two things, where it would do something else than what was meant and say nothing: keys that it
does not know, and a `$` in an annotation, which versions expand in different ways.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import durations, expressions, gotemplate

Item = dict[str, Any]

# Which keys of which list an entry must have: without them Grafana does not start.
REQUIRED = {
    "datasources": ("name", "type"),
    "providers": ("name", "options"),
    "groups": ("name", "folder", "interval", "rules"),
    "rules": ("uid", "title", "condition", "data"),
    "deleteRules": ("uid",),
    "contactPoints": ("name", "receivers"),
    "receivers": ("uid", "type", "settings"),
    "policies": ("receiver",),
    "templates": ("name", "template"),
}
ALERTING_KEYS = {
    "apiVersion", "groups", "deleteRules", "contactPoints", "deleteContactPoints", "policies", "resetPolicies",
    "templates", "deleteTemplates",
}
RULE_KEYS = {
    "uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState", "for",
    "annotations", "labels", "isPaused",
}
STATES = {
    "noDataState": ("OK", "NoData", "Alerting", "KeepLast"),
    "execErrState": ("OK", "Error", "Alerting", "KeepLast"),
}
# `$$` is a dollar; $NAME, ${NAME} and $__env{NAME} are the environment's; $__file{PATH} is a file's text.
VARIABLE = re.compile(r"\$\$|\$__(env|file)\{([^}]+)\}|\$\{(\w+)\}|\$(\w+)")
# Grafana looks for rules that are due this often, and takes no other interval.
TICK = 10


class ProvisioningError(Exception):
    """A file that Grafana would not start with."""


@dataclass
class Provisioned:
    datasources: list[Item] = field(default_factory=list)
    providers: list[Item] = field(default_factory=list)
    alert_groups: list[Item] = field(default_factory=list)
    deleted_rules: list[str] = field(default_factory=list)
    contact_points: list[Item] = field(default_factory=list)
    policy: Item = field(default_factory=dict)
    templates: list[Item] = field(default_factory=list)

    def summary(self) -> str:
        rules = sum(len(group["rules"]) for group in self.alert_groups)
        return (
            f"datasources={len(self.datasources)} dashboards={len(self.dashboards())} "
            f"alert_rules={rules} contact_points={len(self.contact_points)}"
        )

    def dashboards(self) -> list[Item]:
        """Each {"dashboard": ..., "folder": ...}; read when asked, as Grafana looks for changes all the time."""
        return [dashboard for provider in self.providers for dashboard in _dashboards(provider)]


def load(directory: Path, environment: dict[str, str]) -> Provisioned:
    found = Provisioned()
    for path, content in _files(directory / "datasources"):
        found.datasources += expand(_entries(path, content, "datasources"), environment)
    if sum(bool(datasource.get("isDefault")) for datasource in found.datasources) > 1:
        raise ProvisioningError("Only one datasource per organization can be marked as default")
    for path, content in _files(directory / "dashboards"):
        found.providers += expand(_entries(path, content, "providers"), environment)
    policies = []
    for path, content in _files(directory / "alerting"):
        _known(path, content, ALERTING_KEYS)
        for group in _entries(path, content, "groups"):
            found.alert_groups.append(_group(path, group, environment))
        found.deleted_rules += [entry["uid"] for entry in _entries(path, content, "deleteRules")]
        for contact_point in _entries(path, content, "contactPoints"):
            _entries(path, contact_point, "receivers")
            found.contact_points.append(expand(contact_point, environment))
        policies += expand(_entries(path, content, "policies"), environment)
        found.templates += _entries(path, content, "templates")
    if len(policies) > 1:
        raise ProvisioningError("the notification policies of one organization are given twice")
    found.policy = policies[0] if policies else {}
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


def check_rule(where: str, rule: Item) -> None:
    """What Grafana refuses of a rule, from a file or by its API, and what the double cannot evaluate."""
    for key, values in STATES.items():
        if rule.get(key, values[0]) not in values:
            raise ProvisioningError(f"{where}: {key} is not one of {', '.join(values)}")
    try:
        durations.seconds(str(rule.get("for", "0s")))
        expressions.check(rule["data"], rule["condition"])
        for text in [*(rule.get("annotations") or {}).values(), *(rule.get("labels") or {}).values()]:
            gotemplate.Templates().parse(gotemplate.RULE_VARIABLES + text)
    except (ValueError, KeyError, TypeError, gotemplate.TemplateError) as error:
        raise ProvisioningError(f"{where}: {error}") from error


def _group(path: Path, group: Item, environment: dict[str, str]) -> Item:
    try:
        interval = durations.seconds(str(group["interval"]))
    except ValueError as error:
        raise ProvisioningError(f"{path}: {error}") from error
    if interval <= 0 or interval % TICK:
        raise ProvisioningError(f"{path}: interval {group['interval']} should be non-zero and divisible by {TICK}")
    rules = []
    for rule in _entries(path, group, "rules"):
        where = f"{path}: rule {rule['uid']}"
        _known(path, rule, RULE_KEYS)
        if len(rule["uid"]) > 40:
            raise ProvisioningError(f"{where}: the uid is longer than 40 characters")
        annotations = rule.get("annotations") or {}
        if any("$" in text.replace("$$", "") for text in annotations.values()):
            raise ProvisioningError(f"{where}: a single $ in an annotation")
        # What is asked of a data source is taken as it is.
        rule = {**rule, **expand({"labels": rule.get("labels") or {}, "annotations": annotations}, environment)}
        check_rule(where, rule)
        rules.append(rule)
    names = expand({key: group[key] for key in ("name", "folder")}, environment)
    return {**names, "interval": interval, "rules": rules}


def _files(directory: Path) -> Iterator[tuple[Path, Item]]:
    for path in sorted(directory.glob("*.y*ml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ProvisioningError(f"{path}: {error}") from error
        if not isinstance(content, dict) or content.get("apiVersion") != 1:
            raise ProvisioningError(f"{path}: apiVersion 1 is missing")
        yield path, content


def _entries(path: Path, content: Item, key: str) -> list[Item]:
    entries: list[Item] = content.get(key) or []
    for entry in entries:
        for required in REQUIRED[key]:
            if not entry.get(required):
                raise ProvisioningError(f"{path}: an entry of {key} has no {required}")
    return entries


def _known(path: Path, content: Item, keys: Iterable[str]) -> None:
    unknown = sorted(set(content) - set(keys))
    if unknown:
        raise ProvisioningError(f"{path}: the double does not know {', '.join(unknown)}")


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
