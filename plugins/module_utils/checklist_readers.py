# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Who reads what the checklist asks: the readers by name. Each is imported when it is wanted.

A new one is a module with RULES and `read(context, options)`, and one line of READERS.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple

from .checklist_context import Context, Reader
from .findings import Finding, Rule

Options = Mapping[str, Any]


class Source(NamedTuple):
    """A reader, all that it can find, and the options that an item may give it, with what holds otherwise."""

    rules: Mapping[str, Rule]
    read: Reader
    options: Options = {}


# Checks that have a life of their own --------------------------------------------------------------------------------

def _stack() -> Source:
    from . import stack_health

    def read(context: Context, options: Options) -> List[Finding]:
        return stack_health.judge(stack_health.gather(context.description, context.engine), context.description)

    return Source(stack_health.RULES, read)


def _targets() -> Source:
    from . import prometheus_api, targets

    def read(context: Context, options: Options) -> List[Finding]:
        # A shorter window may hold no scrape at all.
        window = min(max(context.now - context.since, 60.0), targets.LONGEST_WINDOW)
        return targets.judge(targets.gather(context.description, window, context.now), context.description)

    return Source({**prometheus_api.RULES, **targets.RULES}, read)


def _alerts() -> Source:
    from . import alert_state, grafana_api

    def read(context: Context, options: Options) -> List[Finding]:
        world = alert_state.gather(context.description, context.engine, patience=0)
        return alert_state.judge(world, context.description)

    return Source({**grafana_api.RULES, **alert_state.RULES}, read)


def _notification() -> Source:
    from . import grafana_api, notification, notification_messages

    def read(context: Context, options: Options) -> List[Finding]:
        return notification.judge(notification.gather(context.description), context.description)

    # Nothing is sent to look whether it would arrive.
    told = {name: rule for name, rule in notification_messages.RULES.items() if name != "test-message"}
    return Source({**grafana_api.RULES, **told}, read)


def _webhooks() -> Source:
    from . import n8n_webhooks, n8n_webhooks_rules

    def read(context: Context, options: Options) -> List[Finding]:
        return n8n_webhooks.judge(n8n_webhooks.gather(context.description, context.engine), context.description)

    return Source(n8n_webhooks_rules.STATE_RULES, read)


def _preflight() -> Source:
    from . import findings, preflight, preflight_compose, preflight_env, preflight_host, preflight_policy

    # That the host waits for a reboot, the reader of the host tells.
    left_out = "host-reboot"

    def read(context: Context, options: Options) -> List[Finding]:
        return [finding for finding in preflight.run(preflight.of_host(context.description)) if finding.id != left_out]

    judges = (preflight_compose, preflight_env, preflight_host, preflight_policy)
    rules = findings.table(*(rule for judge in judges for rule in judge.RULES.values() if rule.id != left_out))
    return Source(rules, read)


# Readers that are made for it ----------------------------------------------------------------------------------------

def _drift() -> Source:
    from . import stack_drift

    return Source(stack_drift.RULES, stack_drift.read)


def _restarts() -> Source:
    from . import restarts

    return Source(restarts.RULES, restarts.read)


def _activity() -> Source:
    from . import activity

    return Source(activity.RULES, activity.read, activity.DEFAULTS)


def _logs() -> Source:
    from . import log_scan

    return Source(log_scan.RULES, log_scan.read, log_scan.DEFAULTS)


def _host() -> Source:
    from . import host_state

    return Source(host_state.RULES, host_state.read, host_state.DEFAULTS)


def _cron() -> Source:
    from . import cron_state

    return Source(cron_state.RULES, cron_state.read, cron_state.DEFAULTS)


def _backups() -> Source:
    from . import backup_readiness

    return Source(backup_readiness.RULES, backup_readiness.read, backup_readiness.DEFAULTS)


READERS: Dict[str, Callable[[], Source]] = {
    "stack": _stack,
    "drift": _drift,
    "restarts": _restarts,
    "activity": _activity,
    "logs": _logs,
    "host": _host,
    "cron": _cron,
    "backups": _backups,
    "targets": _targets,
    "alerts": _alerts,
    "notification": _notification,
    "webhooks": _webhooks,
    "preflight": _preflight,
}
