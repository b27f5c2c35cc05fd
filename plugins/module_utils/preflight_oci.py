# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""OCI's own rules: what the security lists and network security groups of an instance let in, all taken together, and
whether they, the budgets, the quotas or the limits have changed. Only reads.

Egress rules are not judged, nor is what stands before the instance elsewhere, such as a load balancer.
"""

from __future__ import annotations

import hashlib
import ipaddress
from functools import partial
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .findings import Finding, Text
from .preflight_oci_rules import ACCESS, CHANGED, GROUPS, OPEN, RULES, SSH, STATEMENTS
from .preflight_oci_sdk import Clients
from .preflight_oci_state import Entry, Record
from .preflight_outside import PRIVATE, WEB

__all__ = ["RULES", "gather", "judge"]

# The services whose limits decide whether the instance can be made again.
LIMITED_SERVICES = ("compute",)
ALL, TCP, UDP, ICMP, ICMP6 = "all", "6", "17", "1", "58"
PROTOCOLS = {ALL: "all protocols", TCP: "TCP", UDP: "UDP", ICMP: "ICMP", ICMP6: "ICMPv6"}
# Destination unreachable, which carries the path's MTU, and echo.
HARMLESS_ICMP = (3, 8)
NO_ANSWER = "the answer is not what was asked for"
EVERY_PORT = (1, 65535)
PAGES, SHOWN = 200, 5


class Ingress(NamedTuple):
    """One rule that lets something in. ``ports`` is None where the rule names none, which is every one."""

    place: str
    source: str
    source_type: str
    protocol: str
    ports: Optional[Tuple[int, int]] = None
    icmp: Optional[int] = None
    stateless: bool = False

    def what(self) -> str:
        """E.g. TCP 5432-5440."""
        name = PROTOCOLS.get(self.protocol, "protocol " + self.protocol)
        if self.protocol in (TCP, UDP):
            first, last = self.ports or EVERY_PORT
            return "%s %d" % (name, first) if first == last else "%s %d-%d" % (name, first, last)
        return "%s type %d" % (name, self.icmp) if self.icmp is not None else name


class Unread(NamedTuple):
    """What could not be read: of which kind (a key of STATEMENTS), its name, the HTTP status (0 without an answer)."""

    kind: str
    what: str
    status: int
    text: str


class World(NamedTuple):
    """``rules`` are those that could be read, all of them where ``complete``; ``record`` is what is compared later."""

    state: str
    interfaces: int
    rules: Sequence[Ingress]
    complete: bool
    record: Record
    errors: Sequence[Unread]


# Reading -------------------------------------------------------------------------------------------------------------

class _Reader:
    """Asks, page by page, and keeps what went wrong. After an error that all would meet it asks no more."""

    def __init__(self) -> None:
        self.errors: List[Unread] = []

    def attempt(self, kind: str, what: str, work: Callable[[], Any]) -> Any:
        """What comes of it, or None."""
        if self.hopeless():
            return None
        try:
            return work()
        # The SDK, the HTTP library below it, and the reading of whatever came, have errors of their own each.
        except Exception as problem:
            status = getattr(problem, "status", 0)
            if isinstance(status, int) and status:
                text = "%d %s: %s" % (status, getattr(problem, "code", ""), getattr(problem, "message", ""))
            else:
                status, text = 0, "%s: %s" % (type(problem).__name__, problem)
            self.errors.append(Unread(kind, what, status, " ".join(text.split())[:300]))
            return None

    def get(self, kind: str, what: str, call: Callable[[str], Any], ident: str) -> Optional[Dict[str, Any]]:
        """The thing that was asked for, or None."""
        def ask() -> Dict[str, Any]:
            thing = call(ident).data
            if not isinstance(thing, dict) or thing.get("id") != ident:
                raise ValueError(NO_ANSWER)
            return thing

        return self.attempt(kind, what, ask)

    def pages(self, kind: str, what: str, call: Callable[..., Any], *arguments: Any,
              **options: Any) -> List[Dict[str, Any]]:
        """All that a list holds, or nothing: half a list is none."""
        def ask() -> List[Dict[str, Any]]:
            found: List[Dict[str, Any]] = []
            for _page in range(PAGES):
                answer = call(*arguments, **options)
                if not isinstance(answer.data, list) or not all(isinstance(thing, dict) for thing in answer.data):
                    raise ValueError(NO_ANSWER)
                found.extend(answer.data)
                options["page"] = answer.headers.get("opc-next-page")
                if not options["page"]:
                    return found
            raise ValueError("a list of more than %d pages" % PAGES)

        return self.attempt(kind, what, ask) or []

    def hopeless(self) -> bool:
        """No way to OCI, or credentials that it does not take."""
        return any(error.status in (0, 401) for error in self.errors)


def gather(clients: Clients, instance_id: str) -> World:
    """All that is judged. Never raises: what cannot be read is in ``errors``."""
    reader = _Reader()
    instance = reader.get("instance", instance_id, clients.compute.get_instance, instance_id)
    interfaces, rules = reader.attempt("network", "network", lambda: _network(reader, clients, instance)) or (0, [])
    complete = interfaces > 0 and not reader.errors
    record: Dict[str, Mapping[str, str]] = {}
    if complete:
        record["rules"] = {"%s: %s from %s%s" % (rule.place, rule.what(), rule.source,
                                                 ", stateless" if rule.stateless else ""): "" for rule in rules}
    for group, read in (("budgets", _budgets), ("quotas", _quotas), ("limits", _limits)):
        before = len(reader.errors)
        values = reader.attempt(group, group, partial(read, reader, clients))
        if values is not None and len(reader.errors) == before:
            record[group] = values
    return World(str((instance or {}).get("lifecycleState", "")), interfaces, rules, complete, record, reader.errors)


def _network(reader: _Reader, clients: Clients, instance: Optional[Mapping[str, Any]]) -> Tuple[int, List[Ingress]]:
    """How many interfaces the instance has, and the rules of them all, each list once.

    What is missing in an answer is an error (KeyError), and never an empty list.
    """
    if instance is None:
        return 0, []
    network = clients.network
    attachments = reader.pages("network", "VNIC attachments", clients.compute.list_vnic_attachments,
                               instance["compartmentId"], instance_id=instance["id"])
    # One that is just being attached has no interface yet.
    ids = _unique(attachment["vnicId"] for attachment in attachments
                  if attachment["lifecycleState"] != "DETACHED" and attachment.get("vnicId"))
    interfaces = list(filter(None, (reader.get("network", ident, network.get_vnic, ident) for ident in ids)))
    # On a VLAN there is no subnet, and only groups count.
    subnets = list(filter(None, (reader.get("network", ident, network.get_subnet, ident) for ident in _unique(
        interface["subnetId"] for interface in interfaces if not interface.get("vlanId")))))
    rules: List[Ingress] = []
    for ident in _unique(ident for subnet in subnets for ident in subnet["securityListIds"]):
        held = reader.get("network", ident, network.get_security_list, ident)
        if held is not None:
            rules += [_ingress(held["displayName"], rule) for rule in held["ingressSecurityRules"]]
    for ident in _unique(ident for interface in interfaces for ident in interface.get("nsgIds") or []):
        group = reader.get("network", ident, network.get_network_security_group, ident) or {"displayName": ident}
        # A rule whose source no longer exists lets nothing in.
        rules += [_ingress(group["displayName"], rule)
                  for rule in reader.pages("network", ident, network.list_network_security_group_security_rules,
                                           ident, direction="INGRESS")
                  if rule.get("direction") != "EGRESS" and rule.get("isValid") is not False]
    return len(interfaces), rules


def _ingress(place: str, rule: Mapping[str, Any]) -> Ingress:
    protocol = str(rule["protocol"]).lower()
    options = rule.get({TCP: "tcpOptions", UDP: "udpOptions"}.get(protocol, "")) or {}
    ports = options.get("destinationPortRange")
    return Ingress(place, str(rule["source"]), str(rule.get("sourceType") or ""), protocol,
                   (int(ports["min"]), int(ports["max"])) if ports is not None else None,
                   (rule.get("icmpOptions") or {}).get("type"), bool(rule.get("isStateless")))


def _budgets(reader: _Reader, clients: Clients) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for budget in reader.pages("budgets", "budgets", clients.budgets.list_budgets, clients.tenancy, target_type="ALL"):
        name = _free(found, budget.get("displayName"), budget["id"])
        found[name] = _values(budget, "amount", "resetPeriod", "targetType", "targets", "lifecycleState",
                              "budgetProcessingPeriodStartOffset", "processingPeriodType")
        for alert in reader.pages("budgets", name, clients.budgets.list_alert_rules, budget["id"]):
            # Who is told matters; their addresses need not lie about.
            told = hashlib.sha256(str(alert.get("recipients")).encode("utf-8")).hexdigest()[:8]
            label = _free(found, "%s / %s" % (name, alert.get("displayName") or alert["id"]), alert["id"])
            found[label] = "%s recipients=#%s" % (
                _values(alert, "type", "threshold", "thresholdType", "lifecycleState"), told)
    return found


def _quotas(reader: _Reader, clients: Clients) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for summary in reader.pages("quotas", "quotas", clients.quotas.list_quotas, clients.tenancy):
        name = _free(found, summary.get("name"), summary["id"])
        quota = reader.get("quotas", name, clients.quotas.get_quota, summary["id"])
        if quota is not None:
            found[name] = "; ".join(map(str, quota["statements"]))
    return found


def _limits(reader: _Reader, clients: Clients) -> Dict[str, str]:
    return {" ".join(filter(None, (service, limit["name"], limit.get("availabilityDomain")))): str(limit.get("value"))
            for service in LIMITED_SERVICES
            for limit in reader.pages("limits", service, clients.limits.list_limit_values, clients.tenancy, service)}


def _values(thing: Mapping[str, Any], *names: str) -> str:
    values = {name: thing[name] for name in names if thing.get(name) is not None}
    return " ".join("%s=%s" % (name, ",".join(sorted(map(str, value))) if isinstance(value, list) else value)
                    for name, value in values.items())


def _free(taken: Mapping[str, str], name: Optional[str], ident: str) -> str:
    """A name of its own: display names need not differ."""
    return name if name and name not in taken else "%s (%s)" % (name, ident)


def _unique(values: Iterable[str]) -> List[str]:
    return list(dict.fromkeys(values))


# Judging -------------------------------------------------------------------------------------------------------------

def judge(world: World, before: Optional[Entry], policy: Mapping[str, Any], ssh_port: int = 22) -> List[Finding]:
    """``before`` is what to compare with, None on the first run."""
    return [*_judge_access(world), *_judge_ssh(world, ssh_port), *_judge_open(world, policy, ssh_port),
            *_judge_changes(world, before)]


def _judge_access(world: World) -> Iterator[Finding]:
    for error in world.errors:
        case = {401: "denied", 403: "not-allowed", 404: "not-allowed", 429: "busy"}.get(error.status, "failed")
        yield ACCESS.finding(case, error.what, error=error.text, statement=STATEMENTS[error.kind])
    if not world.errors:
        yield ACCESS.finding("read") if world.interfaces else ACCESS.finding("no-vnic", state=world.state or "?")


def _judge_ssh(world: World, ssh_port: int) -> Iterator[Finding]:
    broken, single = False, []
    for rule in world.rules:
        first, last = rule.ports or EVERY_PORT
        if rule.protocol not in (ALL, TCP) or (rule.protocol == TCP and not first <= ssh_port <= last):
            continue
        where = _where(rule)
        if where is None:
            yield SSH.unread("%s: %s" % (rule.place, rule.source), rule.source)
        elif where == "single":
            single.append(rule.source)
        else:
            yield SSH.finding(where, rule.source, place=rule.place, source=rule.source)
        broken = broken or where != "single"
    if world.complete and not broken:
        yield SSH.finding("limited", sources=", ".join(_unique(single)) or "-")


def _judge_open(world: World, policy: Mapping[str, Any], ssh_port: int) -> Iterator[Finding]:
    broken = False
    for rule in world.rules:
        case = _open_case(rule, policy["public_ports"], ssh_port)
        if case is None:
            continue
        broken = True
        what, where = rule.what(), _where(rule)
        if where is None:
            yield OPEN.unread("%s: %s" % (rule.place, rule.source), "%s %s" % (what, rule.source))
        else:
            yield OPEN.finding("inside" if where == "inside" else case, "%s %s" % (what, rule.source), place=rule.place,
                               what=what, source=rule.source)
    if world.complete and not broken:
        yield OPEN.finding("closed")


def _open_case(rule: Ingress, public_ports: Sequence[int], ssh_port: int) -> Optional[str]:
    """What there is to say of a rule apart from SSH, which has a rule of its own; None for nothing."""
    if rule.protocol == ICMP6 or (rule.protocol == ICMP and rule.icmp in HARMLESS_ICMP):
        return None
    if rule.protocol == ICMP:
        return "icmp"
    if rule.protocol not in (TCP, UDP):
        return "open"
    first, last = rule.ports or EVERY_PORT
    allowed = {*public_ports, ssh_port} if rule.protocol == TCP else set(public_ports)
    beyond = last - first + 1 - sum(first <= port <= last for port in allowed)
    web = sum(first <= port <= last for port in WEB if port not in allowed) if rule.protocol == TCP else 0
    return None if beyond <= 0 else "web" if beyond == web else "open"


def _where(rule: Ingress) -> Optional[str]:
    """Who a rule lets in: anyone, wide (a network), single (one address), inside; None when it cannot be told."""
    if rule.source_type == "NETWORK_SECURITY_GROUP":
        return "inside"
    if rule.source_type == "SERVICE_CIDR_BLOCK":
        return "wide"
    try:
        network = ipaddress.ip_network(rule.source, strict=False)
    except ValueError:
        return None
    if any(network.network_address in private and network.prefixlen >= private.prefixlen for private in PRIVATE):
        return "inside"
    if network.prefixlen == 0:
        return "anyone"
    return "single" if network.num_addresses == 1 else "wide"


def _judge_changes(world: World, before: Optional[Entry]) -> Iterator[Finding]:
    if before is None:
        if world.record:
            yield CHANGED.finding("first")
        return
    changed = False
    for group, now in world.record.items():
        if group not in before.record:
            continue
        changes = list(_changes(before.record[group], now))
        if changes:
            changed = True
            more = len(changes) - SHOWN
            yield CHANGED.finding("changed", group, since=before.day(), changes=Text(*(
                GROUPS[group].get(lang) + ": " + "; ".join(changes[:SHOWN]) + (" (+%d)" % more if more > 0 else "")
                for lang in ("en", "ko"))))
    if not changed and all(group in world.record and group in before.record for group in GROUPS):
        yield CHANGED.finding("same", since=before.day())


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if name not in now:
            yield "- %s" % name
        elif name not in before:
            yield " ".join(filter(None, ("+ %s" % name, now[name] and "(%s)" % now[name])))
        elif before[name] != now[name]:
            yield "%s: %s -> %s" % (name, before[name], now[name])
