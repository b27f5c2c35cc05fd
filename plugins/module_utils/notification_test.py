# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""One message through the contact point, that says of itself that it is a test. The verdict is Grafana's."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional
from urllib.parse import quote, urlsplit

from . import grafana_api, http_json
from .findings import Finding
from .grafana_api import Grafana, GrafanaError
from .http_json import masked, objects
from .notification import CONTACT_POINTS, RECEIVERS, REDACTED, TYPE, World
from .notification_messages import NAME, failed, finding

_OLD = RECEIVERS + "/test"
# Since version 13.
NEW = "/apis/notifications.alerting.grafana.app/v1beta1/namespaces/default/receivers"
_SECONDS = 60.0

_TITLE = "시험 메시지 (test message)"
_SUMMARY = ("알림 경로를 확인하는 시험 메시지입니다. 실제 장애가 아닙니다.\n"
            "This is a test of the notifications. Nothing is wrong.")
_ACTION = "할 일이 없습니다.\nNothing is to be done."
# The labels and annotations that the contact point's template shows.
_ALERT = {"labels": {"alertname": _TITLE, "severity": "warning"},
          "annotations": {"summary": _SUMMARY, "description": _ACTION}}


def send(world: World, description: Mapping[str, Any]) -> Finding:
    """Sends one message and says what became of it. Never raises; never sends a second one."""
    points = [point for point in world.reading.found.get(CONTACT_POINTS, ())
              if point.get("name") == NAME and point.get("type") == TYPE]
    if not points:
        return finding("test-message", "unsent", description)
    try:
        grafana = Grafana(grafana_api.service(description))
        result = _by_old_way(grafana, points[0]) or _by_new_way(grafana, points[0])
    except GrafanaError as problem:
        trouble = problem.trouble
        if trouble.case in ("timeout", "down", "answer"):
            return finding("test-message", "unclear", description)
        return failed("test-message", "failed", "HTTP %d %s" % (trouble.status, trouble.message),
                      world.reading.secrets, description)
    if result is None:
        return _send_directly(world, description)
    if result.ok:
        return finding("test-message", "sent", description)
    return failed("test-message", "failed", result.error, world.reading.secrets, description)


class _Result(NamedTuple):
    ok: bool
    error: str = ""


def _by_old_way(grafana: Grafana, point: Mapping[str, Any]) -> Optional[_Result]:
    """Up to version 12. None where Grafana does not know the call."""
    settings = point.get("settings") if isinstance(point.get("settings"), dict) else {}
    hidden = [key for key, value in (settings or {}).items() if value == REDACTED]
    config = {"uid": point.get("uid"), "name": NAME, "type": TYPE,
              "disableResolveMessage": bool(point.get("disableResolveMessage")),
              # What Grafana does not show it takes from what it has stored under this uid.
              "settings": {key: value for key, value in (settings or {}).items() if key not in hidden},
              "secureFields": dict.fromkeys(hidden, True)}
    answer = grafana.ask(_OLD, {"receivers": [{"name": NAME, "grafana_managed_receiver_configs": [config]}],
                                "alert": _ALERT}, _SECONDS)
    trouble = grafana.trouble(answer)
    if trouble.case == "gone":
        return None
    content = answer.content if isinstance(answer.content, dict) else {}
    # 207, 400 and 408 carry a result for each integration, as 200 does.
    results = [result for receiver in objects(content.get("receivers"))
               for result in objects(receiver.get("grafana_managed_receiver_configs"))]
    if not results:
        raise GrafanaError(trouble)
    errors = [masked(result.get("error") or "?", grafana.secrets) for result in results if result.get("status") != "ok"]
    return _Result(not errors, "; ".join(errors))


def _by_new_way(grafana: Grafana, point: Mapping[str, Any]) -> Optional[_Result]:
    """Since version 13. None where Grafana does not know the call."""
    listed = grafana.ask(NEW)
    if grafana.trouble(listed).case == "gone":
        return None
    content = listed.content if isinstance(listed.content, dict) else {}
    for item in objects(content.get("items")):
        spec, about = item.get("spec"), item.get("metadata")
        if not isinstance(spec, dict) or not isinstance(about, dict) or spec.get("title") != NAME:
            continue
        for integration in objects(spec.get("integrations")):
            if integration.get("uid") == point.get("uid"):
                # As Grafana has it: it adds the address, which it does not show, from its store.
                path = "%s/%s/test" % (NEW, quote(str(about.get("name")), safe=""))
                return _new_result(grafana, grafana.ask(path, {"integration": integration, "alert": _ALERT}, _SECONDS))
    raise GrafanaError(grafana.trouble(listed))


def _new_result(grafana: Grafana, answer: http_json.Answer) -> Optional[_Result]:
    trouble = grafana.trouble(answer)
    if trouble.case == "gone":
        return None
    content = answer.content if isinstance(answer.content, dict) else {}
    # Kubernetes' own errors have the status "Failure" too, with the code of the answer.
    if answer.status == 200 and content.get("status") in ("success", "failure"):
        return _Result(content["status"] == "success", masked(content.get("error") or "", grafana.secrets))
    raise GrafanaError(trouble)


def _send_directly(world: World, description: Mapping[str, Any]) -> Finding:
    """Where Grafana has no way to test: this proves the webhook alone, and says so."""
    try:
        if urlsplit(world.webhook).scheme not in ("http", "https"):
            return finding("test-message", "unsent", description)
        answer = http_json.ask(world.webhook, {"content": "%s\n%s" % (_TITLE, _SUMMARY)}, timeout=_SECONDS)
    except (http_json.HttpError, ValueError) as problem:
        return failed("test-message", "direct-failed", getattr(problem, "case", "no address"), world.reading.secrets,
                      description)
    if 200 <= answer.status < 300:
        return finding("test-message", "direct", description)
    return failed("test-message", "direct-failed", "HTTP %d" % answer.status, world.reading.secrets, description)
