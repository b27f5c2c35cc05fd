"""From firing alerts to messages: policies, groups, Discord. Every group is sent by itself; none waits for another.

As in Grafana, a message that Discord does not take is not tried again at once, but when its group is due the next time,
whatever Discord says of the time to wait. The address of the webhook is in no error.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

from . import durations, gotemplate
from .silences import Silences

Item = dict[str, Any]

DEFAULTS = {"group_by": ["grafana_folder", "alertname"], "group_wait": "30s", "group_interval": "5m",
            "repeat_interval": "4h"}
DEFAULT_RECEIVER = "grafana-default-email"
NO_MAIL = "failed to send notification to email addresses: SMTP not configured, check your grafana.ini config file's " \
          "[smtp] section"
MATCHES: dict[str, Callable[[str, str], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: bool(re.fullmatch(wanted, value)),
    "!~": lambda value, wanted: not re.fullmatch(wanted, value),
}
ROUTE_KEYS = {"orgId", "receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "object_matchers",
              "continue", "routes"}
SEND_TIMEOUT = 30
MESSAGE_LIMIT = 2000
FIRING_COLOR, RESOLVED_COLOR = 0xD63232, 0x36A64F
SECRETS = {"discord": {"url"}}
REDACTED = "[REDACTED]"
# In the place of Grafana's own default templates, and saying less.
DEFAULT_TEMPLATES = """
{{ define "default.title" }}[{{ .Status | toUpper }}] {{ .GroupLabels.SortedPairs.Values | join " " }}{{ end }}
{{ define "default.message" }}{{ range .Alerts }}**{{ .Status }}** {{ .Labels.alertname }}
{{ range .Annotations.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}{{ end }}{{ end }}
"""


class SendError(Exception):
    """A message that did not arrive, and why; without the address."""


@dataclass
class Alert:
    labels: dict[str, str]
    annotations: dict[str, str]
    starts: float
    ends: float | None = None
    values: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return json.dumps(self.labels, sort_keys=True)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    def shown(self) -> gotemplate.Record:
        public = {name: value for name, value in self.labels.items() if not name.startswith("__")}
        return gotemplate.Record(
            Status="resolved" if self.ends else "firing", Labels=public, Annotations=dict(self.annotations),
            StartsAt=_time(self.starts), EndsAt=_time(self.ends or 0), Values=dict(self.values),
            ValueString=" ".join(f"[ var='{name}' value={gotemplate.number(value)} ]"
                                 for name, value in sorted(self.values.items())),
            Fingerprint=self.fingerprint, GeneratorURL="", SilenceURL="", DashboardURL="",
            PanelURL="")


@dataclass
class Sent:
    """What was said of a group last."""

    when: float
    firing: list[str]
    resolved: list[str]


@dataclass
class Group:
    receiver: str
    labels: dict[str, str]
    interval: float
    repeat: float
    due: float
    alerts: dict[str, Alert] = field(default_factory=dict)
    sent: Sent | None = None
    busy: bool = False


@dataclass
class Attempt:
    """A receiver's last delivery."""

    when: float | None = None
    seconds: float = 0
    error: str = ""


class Notifications:
    def __init__(self, version: str, root_url: str) -> None:
        self._version, self._root_url = version, root_url
        self._lock = Lock()
        self.silences = Silences()
        self._senders = ThreadPoolExecutor(max_workers=8, thread_name_prefix="notify")
        self._groups: dict[str, Group] = {}
        self.receivers: dict[str, list[Item]] = {}
        self.attempts: dict[str, Attempt] = {}
        self.policy: Item = {}
        self._templates: list[str] = []

    def configure(self, contact_points: list[Item], policy: Item, templates: list[Item]) -> None:
        """Raises ValueError where Grafana would not start."""
        receivers: dict[str, list[Item]] = {DEFAULT_RECEIVER: [{"uid": "default", "type": "email", "settings": {}}]}
        texts = [DEFAULT_TEMPLATES, *(template["template"] for template in templates)]
        for point in contact_points:
            for receiver in point["receivers"]:
                _check_receiver(receiver, texts)
            receivers[point["name"]] = point["receivers"]
        policy = {**DEFAULTS, "receiver": DEFAULT_RECEIVER, **policy}
        _check_route(policy, receivers)
        with self._lock:
            self.receivers, self.policy, self._templates = receivers, policy, texts
            for receivers_of_one in receivers.values():
                for receiver in receivers_of_one:
                    self.attempts.setdefault(receiver["uid"], Attempt())

    def put(self, alert: Alert, now: float) -> None:
        """An alert fires, or has ended. One that has ended and that nobody was told of is forgotten in time."""
        with self._lock:
            for place, route in _routes(self.policy, alert.labels):
                names = route["group_by"]
                by = sorted(alert.labels) if names == ["..."] else names
                labels = {name: alert.labels[name] for name in by if name in alert.labels}
                key = f"{place}:{json.dumps(labels, sort_keys=True)}"
                if key not in self._groups:
                    if alert.ends:
                        continue
                    wait, interval, repeat = (durations.seconds(route[name])
                                              for name in ("group_wait", "group_interval", "repeat_interval"))
                    self._groups[key] = Group(route["receiver"], labels, interval, repeat, now + wait)
                known = self._groups[key].alerts
                old = known.get(alert.key)
                if old and not old.ends:
                    # It goes on, or has ended: its beginning is the earliest that was told.
                    alert.starts = min(old.starts, alert.starts)
                if old or not alert.ends:
                    known[alert.key] = alert

    def send_due(self, now: float) -> None:
        with self._lock:
            for key, group in self._groups.items():
                if not group.busy and group.due <= now:
                    group.busy, group.due = True, now + group.interval
                    self._senders.submit(self._send, key, group, now)

    def alerts(self) -> list[tuple[str, Alert]]:
        """Receiver and alert, of all that fire."""
        with self._lock:
            return [(group.receiver, alert) for group in self._groups.values() for alert in group.alerts.values()
                    if not alert.ends]

    def test(self, receiver: Item, alert: Alert) -> str:
        """What went wrong; empty where it arrived."""
        try:
            self._deliver(receiver, {"alertname": alert.labels.get("alertname", "")}, [alert])
        except SendError as error:
            return str(error)
        return ""

    def remembered(self) -> Item:
        with self._lock:
            return {key: {**asdict(group), "busy": False} for key, group in self._groups.items()}

    def remember(self, groups: Item, now: float) -> None:
        """After a restart: what was told before it is not told again."""
        for key, item in groups.items():
            alerts = {name: Alert(**alert) for name, alert in item.pop("alerts").items()}
            sent = item.pop("sent")
            self._groups[key] = Group(**{**item, "due": now}, alerts=alerts, sent=Sent(**sent) if sent else None)

    def _send(self, key: str, group: Group, now: float) -> None:
        with self._lock:
            alerts = list(group.alerts.values())
        shown = [alert for alert in alerts if not self.silences.hide(alert.labels)]
        firing = sorted(alert.key for alert in shown if not alert.ends)
        resolved = sorted(alert.key for alert in shown if alert.ends)
        delivered = True
        try:
            if shown and _is_news(group, firing, resolved, now):
                delivered = self._send_to_all(group, shown)
                if delivered:
                    group.sent = Sent(now, firing, resolved)
        except Exception as error:
            # Nobody waits for this thread: what it dies of would be seen nowhere.
            print(f"logger=ngalert.notifier level=error receiver={group.receiver} {type(error).__name__}: {error}")
            delivered = False
        with self._lock:
            if delivered:
                for alert in alerts:
                    if alert.ends and group.alerts.get(alert.key) is alert:
                        del group.alerts[alert.key]
            if not group.alerts:
                del self._groups[key]
            group.busy = False

    def _send_to_all(self, group: Group, alerts: list[Alert]) -> bool:
        errors = []
        for receiver in self.receivers.get(group.receiver, []):
            begun = time.time()
            error = ""
            try:
                self._deliver(receiver, group.labels, alerts)
            except SendError as failure:
                error = str(failure)
                print(f"logger=ngalert.notifier level=error receiver={group.receiver} {receiver['type']}: {error}")
            self.attempts[receiver["uid"]] = Attempt(begun, time.time() - begun, error)
            errors += [error] if error else []
        return not errors

    def _deliver(self, receiver: Item, group_labels: dict[str, str], alerts: list[Alert]) -> None:
        if receiver["type"] != "discord":
            raise SendError(NO_MAIL)
        message = self.message(receiver["settings"], group_labels, alerts)
        _post(receiver["settings"]["url"], message)

    def message(self, settings: Item, group_labels: dict[str, str], alerts: list[Alert]) -> Item:
        """As Discord gets it."""
        shown = [alert.shown() for alert in sorted(alerts, key=lambda alert: (alert.starts, alert.key))]
        fires = any(alert["Status"] == "firing" for alert in shown)
        public = {name: value for name, value in group_labels.items() if not name.startswith("__")}
        data = gotemplate.Record(
            Receiver="discord", Status="firing" if fires else "resolved", Alerts=shown, GroupLabels=public,
            CommonLabels=_common(shown, "Labels"), CommonAnnotations=_common(shown, "Annotations"),
            ExternalURL=self._root_url)
        try:
            templates = gotemplate.Templates()
            for text in self._templates:
                templates.parse(text)
            content = templates.expand(settings.get("message") or '{{ template "default.message" . }}', data)
            title = templates.expand(settings.get("title") or '{{ template "default.title" . }}', data)
        except gotemplate.TemplateError as error:
            raise SendError(f"failed to template the message: {error}") from error
        if len(content) > MESSAGE_LIMIT:
            content = content[:MESSAGE_LIMIT - 1] + "…"
        embed = {"title": title, "type": "rich", "color": FIRING_COLOR if fires else RESOLVED_COLOR,
                 "url": f"{self._root_url.rstrip('/')}/alerting/list", "footer": {"text": f"Grafana v{self._version}"}}
        name = {} if settings.get("use_discord_username") else {"username": "Grafana"}
        avatar = {"avatar_url": settings["avatar_url"]} if settings.get("avatar_url") else {}
        return {**name, "content": content, **avatar, "embeds": [embed]}


def _time(timestamp: float) -> gotemplate.Record:
    return gotemplate.Record(Unix=int(timestamp))


def redacted(receiver: Item) -> Item:
    """The settings of a receiver as the API shows them."""
    secret = SECRETS.get(receiver["type"], set())
    return {key: REDACTED if key in secret else value for key, value in receiver["settings"].items()}


def _post(url: str, message: Item) -> None:
    try:
        request = urllib.request.Request(
            url, json.dumps(message, ensure_ascii=False).encode(),
            {"Content-Type": "application/json", "User-Agent": "Grafana"}, method="POST")
        with urllib.request.urlopen(request, timeout=SEND_TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        with error:
            raise SendError(_refusal(error.code, error.read())) from None
    except (OSError, ValueError) as error:
        # Whatever the library says of an address that it cannot make sense of, the address stays here.
        reason = str(getattr(error, "reason", error))
        raise SendError(f'Post "{REDACTED}": {reason.replace(url, REDACTED)}') from None


def _refusal(status: int, body: bytes) -> str:
    try:
        answer = json.loads(body)
        return f"the Discord API responded (status {status}) with error code {answer.get('code', 0)}: " \
               f"{answer.get('message', '')}"
    except (ValueError, AttributeError):
        return f"unexpected status code {status} from Discord"


def _is_news(group: Group, firing: list[str], resolved: list[str], now: float) -> bool:
    if group.sent is None:
        return bool(firing)
    if set(firing) - set(group.sent.firing):
        return True
    if not firing:
        return bool(group.sent.firing)
    return bool(set(resolved) - set(group.sent.resolved)) or now - group.sent.when >= group.repeat


def _routes(route: Item, labels: dict[str, str], place: str = "0") -> Iterator[tuple[str, Item]]:
    """The policies that an alert goes by: the deepest that match, the first of them unless it says to continue."""
    found = False
    for number, child in enumerate(route.get("routes") or []):
        matchers = child.get("object_matchers") or []
        if all(MATCHES[sign](labels.get(name, ""), wanted) for name, sign, wanted in matchers):
            found = True
            yield from _routes({**route, "routes": [], **child}, labels, f"{place}.{number}")
            if not child.get("continue"):
                return
    if not found:
        yield place, route


def _common(shown: list[gotemplate.Record], kind: str) -> dict[str, str]:
    common = dict(shown[0][kind]) if shown else {}
    return {name: value for name, value in common.items() if all(alert[kind].get(name) == value for alert in shown)}


def _check_receiver(receiver: Item, texts: list[str]) -> None:
    if receiver["type"] != "discord":
        raise ValueError(f"the double does not know contact points of type {receiver['type']}")
    settings = receiver["settings"]
    if not settings.get("url"):
        raise ValueError(f"contact point {receiver['uid']}: could not find webhook url property in settings")
    unknown = set(settings) - {"url", "message", "title", "avatar_url", "use_discord_username"}
    if unknown:
        raise ValueError(f"contact point {receiver['uid']}: the double does not know {', '.join(sorted(unknown))}")
    try:
        for text in [*texts, settings.get("message") or "", settings.get("title") or ""]:
            gotemplate.Templates().parse(text)
    except gotemplate.TemplateError as error:
        raise ValueError(f"invalid template: {error}") from error


def _check_route(route: Item, receivers: dict[str, list[Item]]) -> None:
    unknown = set(route) - ROUTE_KEYS
    if unknown:
        raise ValueError(f"notification policy: the double does not know {', '.join(sorted(unknown))}")
    if route.get("receiver", DEFAULT_RECEIVER) not in receivers:
        raise ValueError(f"receiver '{route['receiver']}' does not exist")
    for key in ("group_wait", "group_interval", "repeat_interval"):
        durations.seconds(route.get(key, "0s"))
    if any(len(matcher) != 3 or matcher[1] not in MATCHES for matcher in route.get("object_matchers") or []):
        raise ValueError("a matcher of the notification policies is not [name, sign, value]")
    for child in route.get("routes") or []:
        _check_route(child, receivers)
