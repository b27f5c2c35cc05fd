"""Grafana's alerting: rules that stay, evaluated at their groups' intervals, and what the API tells of them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from . import durations, expressions, states
from .notification import Alert, Notifications
from .provisioning import Provisioned, ProvisioningError, check_rule
from .store import Store

Item = dict[str, Any]
FILE, API, NONE = "file", "api", ""


class Refused(Exception):
    """What the API answers instead: a status and a body."""

    def __init__(self, status: int, message: str, identifier: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message} | ({"statusCode": status, "messageId": identifier} if identifier else {})


class Alerting:
    def __init__(self, store: Store, notifications: Notifications, ask: Callable[[str, str], expressions.Numbers]):
        self._store, self.notifications, self._ask = store, notifications, ask
        self._lock = threading.RLock()
        self._workers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="evaluate")
        self._busy: set[str] = set()
        self._due: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        kept = store.recall("alerting")
        self._instances: dict[str, dict[str, states.Instance]] = {
            uid: {key: states.Instance(**instance) for key, instance in instances.items()}
            for uid, instances in kept.get("instances", {}).items()
        }
        notifications.remember(kept.get("groups", {}), time.time())

    # -- rules --------------------------------------------------------------------------------------------------

    def provision(self, provisioned: Provisioned) -> None:
        """As Grafana: what a file has is made or overwritten, what it no longer has stays until it is deleted."""
        try:
            self.notifications.configure(provisioned.contact_points, provisioned.policy, provisioned.templates)
        except (ValueError, KeyError) as error:
            raise ProvisioningError(str(error)) from error
        with self._lock:
            for group in provisioned.alert_groups:
                for rule in group["rules"]:
                    stored = self._store.rule(rule["uid"])
                    if stored and stored["provenance"] == API:
                        raise ProvisioningError(f"rule {rule['uid']}: cannot change provenance from 'api' to 'file'")
                    self._put(_document(rule, group["folder"], group["name"], group["interval"], FILE), stored)
                for rule in self._store.rules():
                    if (rule["folder"], rule["ruleGroup"]) == (group["folder"], group["name"]):
                        self._store.put_rule({**rule, "interval": group["interval"]})
            for uid in provisioned.deleted_rules:
                if self._store.rule(uid):
                    self._remove(uid)

    def rules(self) -> list[Item]:
        with self._lock:
            return self._store.rules()

    def rule(self, uid: str) -> Item:
        with self._lock:
            rule = self._store.rule(uid)
        if not rule:
            raise Refused(404, "could not find alert rule", "alerting.alert-rule.notFound")
        return rule

    def save(self, given: Item, provenance: str, uid: str | None = None) -> Item:
        """From the API: a new rule, or another text for one."""
        with self._lock:
            stored = self.rule(uid) if uid else None
            if stored and not _may_change(stored["provenance"], provenance):
                raise _mismatch(stored["provenance"], provenance)
            own = uid or str(given.get("uid") or hashlib.sha256(repr(given).encode()).hexdigest()[:14])
            if not stored and self._store.rule(own):
                raise Refused(409, "conflicting alert rule found: rule UID is already used")
            folders = {folder_uid(rule["folder"]): rule["folder"] for rule in self._store.rules()}
            folder = str(given.get("folderUID", ""))
            group = str(given.get("ruleGroup", ""))
            interval = next((rule["interval"] for rule in self._store.rules()
                             if folder_uid(rule["folder"]) == folder and rule["ruleGroup"] == group), 60)
            try:
                check_rule(f"rule {own}", given)
                rule = _document({**given, "uid": own}, folders[folder], group, interval, provenance)
            except (ProvisioningError, KeyError) as error:
                raise Refused(400, f"invalid alert rule: {error}") from error
            self._put(rule, stored)
            return rule

    def delete(self, uid: str, provenance: str) -> None:
        with self._lock:
            stored = self._store.rule(uid)
            if stored and not _may_change(stored["provenance"], provenance):
                raise _mismatch(stored["provenance"], provenance)
            if stored:
                self._remove(uid)

    def _put(self, rule: Item, stored: Item | None) -> None:
        """A rule that has changed starts anew; one that has not goes on."""
        if stored and {**stored, "updated": ""} == {**rule, "id": stored["id"], "updated": ""}:
            return
        self._store.put_rule(rule)
        if stored:
            self._stop(rule["uid"], "Paused" if rule["isPaused"] else "Updated")

    def _remove(self, uid: str) -> None:
        self._store.remove_rule(uid)
        self._stop(uid, "RuleDeleted")

    def _stop(self, uid: str, reason: str) -> None:
        now = time.time()
        self._tell(states.stopped(self._instances.pop(uid, {}), reason, now), now)

    # -- evaluation ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """For ever: whatever is due."""
        while True:
            now = time.time()
            with self._lock:
                for rule in self._store.rules():
                    uid = rule["uid"]
                    if rule["isPaused"] or uid in self._busy or self._due.get(uid, 0) > now:
                        continue
                    # All rules of a group at once, and at the same second of a minute whenever the program started.
                    self._due[uid] = now - now % rule["interval"] + rule["interval"]
                    self._busy.add(uid)
                    self._workers.submit(self._evaluate, rule)
            self.notifications.send_due(now)
            time.sleep(0.5)

    def _evaluate(self, rule: Item) -> None:
        begun = time.time()
        uid, found, error = rule["uid"], [], ""
        try:
            found = expressions.evaluate(rule["data"], rule["condition"], self._ask)
        except expressions.EvaluationError as failure:
            error = f"[sse.dataQueryError] failed to execute query [A]: {failure}"
            print(f"logger=ngalert.scheduler level=error rule_uid={uid} {error}")
        except Exception as failure:
            # Nobody waits for this thread: what it dies of would be seen nowhere.
            error = f"{type(failure).__name__}: {failure}"
            print(f"logger=ngalert.scheduler level=error rule_uid={uid} {error}")
        with self._lock:
            self._busy.discard(uid)
            if self._store.rule(uid) != rule:
                return  # changed meanwhile
            now = time.time()
            self._seconds[uid] = now - begun
            changes = states.evaluated(rule, self._instances.setdefault(uid, {}), found, error, begun)
            self._tell(changes, now)
            self._store.keep("alerting", {
                "instances": {own: {key: asdict(instance) for key, instance in instances.items()}
                              for own, instances in self._instances.items()},
                "groups": self.notifications.remembered(),
            })

    def _tell(self, changes: list[states.Change], now: float) -> None:
        for change in changes:
            instance = change.instance
            if change.resolves:
                self.notifications.put(
                    Alert(change.labels, instance.annotations, instance.since, now, instance.values), now)
            if change.fires:
                self.notifications.put(
                    Alert(instance.sent_labels, instance.annotations, instance.since, None, instance.values), now)

    # -- what the API tells of the states -----------------------------------------------------------------------

    def groups(self) -> list[Item]:
        with self._lock:
            found: dict[tuple[str, str], Item] = {}
            for rule in self._store.rules():
                group = found.setdefault((rule["folder"], rule["ruleGroup"]), {
                    "name": rule["ruleGroup"], "file": rule["folder"], "folderUid": folder_uid(rule["folder"]),
                    "rules": [], "totals": {}, "interval": rule["interval"],
                })
                status = self._status(rule)
                group["rules"].append(status)
                group["totals"][status["state"]] = group["totals"].get(status["state"], 0) + 1
                group |= {key: status[key] for key in ("lastEvaluation", "evaluationTime")}
            return [found[key] for key in sorted(found)]

    def _status(self, rule: Item) -> Item:
        instances = list(self._instances.get(rule["uid"], {}).values())
        shown = [_shown(instance) for instance in instances]
        kinds = {instance.state for instance in instances}
        health = "error" if states.ERROR in kinds or any(instance.error for instance in instances) else \
            "nodata" if states.NO_DATA in kinds else "ok"
        state = "firing" if states.ALERTING in kinds else "pending" if states.PENDING in kinds else "inactive"
        totals: dict[str, int] = {}
        for instance in instances:
            totals[instance.state.lower()] = totals.get(instance.state.lower(), 0) + 1
        error = next((instance.error for instance in instances if instance.error), "")
        sources = [query for query in rule["data"] if query["datasourceUid"] != expressions.EXPRESSION]
        return {
            "state": state,
            "name": rule["title"],
            "query": " | ".join(query["model"]["expr"] for query in sources),
            "queriedDatasourceUIDs": [query["datasourceUid"] for query in sources],
            "duration": durations.seconds(rule["for"]),
            "annotations": rule["annotations"],
            **({"alerts": shown} if shown else {}),
            "totals": totals,
            "totalsFiltered": totals,
            "uid": rule["uid"],
            "folderUid": folder_uid(rule["folder"]),
            "labels": rule["labels"],
            "health": health,
            **({"lastError": error} if error else {}),
            "type": "alerting",
            "lastEvaluation": durations.moment(max((instance.evaluated for instance in instances), default=None)),
            "evaluationTime": self._seconds.get(rule["uid"], 0) if instances else 0,
            "isPaused": rule["isPaused"],
            **({"provenance": rule["provenance"]} if rule["provenance"] else {}),
        }


def folder_uid(folder: str) -> str:
    return hashlib.sha256(folder.encode()).hexdigest()[:14]


def _shown(instance: states.Instance) -> Item:
    value = ""
    if instance.value is not None and (instance.state in states.FIRING or instance.state == states.PENDING):
        value = f"{instance.value:e}".replace(".000000", "")
    return {
        "labels": {name: text for name, text in instance.labels.items() if not name.startswith("__")},
        "annotations": instance.annotations,
        "state": instance.shown_state,
        "activeAt": durations.moment(instance.since),
        "value": value,
    }


def _document(given: Item, folder: str, group: str, interval: float, provenance: str) -> Item:
    """A rule as it is stored; `own_labels` are those that every alert of it has."""
    labels = {name: str(text) for name, text in (given.get("labels") or {}).items()}
    return {
        "uid": given["uid"], "title": given["title"], "folder": folder, "ruleGroup": group, "interval": interval,
        "condition": given["condition"],
        "data": [{"refId": query["refId"], "queryType": query.get("queryType", ""),
                  "relativeTimeRange": query.get("relativeTimeRange") or {"from": 0, "to": 0},
                  "datasourceUid": query["datasourceUid"],
                  "model": {"intervalMs": 1000, "maxDataPoints": 43200, **query["model"]}} for query in given["data"]],
        "noDataState": given.get("noDataState") or "NoData", "execErrState": given.get("execErrState") or "Alerting",
        "for": durations.duration(durations.seconds(str(given.get("for") or "0s"))),
        "annotations": {name: str(text) for name, text in (given.get("annotations") or {}).items()}, "labels": labels,
        "isPaused": bool(given.get("isPaused")), "provenance": provenance, "updated": durations.moment(time.time()),
        "own_labels": {
            **labels, "alertname": given["title"], "grafana_folder": folder,
            "__alert_rule_uid__": given["uid"], "__alert_rule_namespace_uid__": folder_uid(folder),
        },
    }


def _may_change(stored: str, provenance: str) -> bool:
    return stored in (provenance, NONE) or (stored, provenance) == (API, NONE)


def _mismatch(stored: str, provenance: str) -> Refused:
    return Refused(409, f"cannot update with provided provenance '{provenance}', needs '{stored}'",
                   "alerting.provenanceMismatch")
