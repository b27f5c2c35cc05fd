# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Networks that are the host's own, or that leave containers open to those around the host."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Tuple

from .preflight_compose_common import Found, containers, listed, mapping
from .preflight_compose_isolation import container_names, foreign_container
from .preflight_compose_rules import RULES

_BRIDGE = "com.docker.network.bridge."
_BESIDE_THE_HOST = ("macvlan", "ipvlan")
_GATEWAY = (_BRIDGE + "gateway_mode_ipv4", _BRIDGE + "gateway_mode_ipv6")
_OPEN_MODES = ("nat-unprotected", "routed")
_TRUSTED = _BRIDGE + "trusted_host_interfaces"
_MASQUERADE = _BRIDGE + "enable_ip_masquerade"


def judge_networks(project: Mapping[str, Any]) -> Iterator[Found]:
    networks = {name: mapping(network) for name, network in mapping(project.get("networks")).items()}
    own = container_names(project)
    host, gateway = RULES["compose-network-host"], RULES["compose-gateway-mode"]
    for name, service in containers(project):
        path = ("services", name)
        mode = str(service.get("network_mode") or "").strip()
        foreign = foreign_container(mode, own)
        if mode == "host":
            yield Found(host.finding("mode", name), name, (*path, "network_mode"))
        elif foreign is not None:
            yield Found(host.finding("foreign", name, container=foreign), name, (*path, "network_mode"))
        for how, key in _host_builds(service):
            yield Found(host.finding("build", name, how=how), name, (*path, "build", key))
        for attached in mapping(service.get("networks")):
            network = networks.get(attached, {})
            driver, where = str(network.get("driver") or ""), ("networks", attached)
            subject = "%s %s" % (name, attached)
            if driver == "host" or network.get("name") == "host":
                yield Found(host.finding("network", subject, network=attached), name, where)
            elif driver in _BESIDE_THE_HOST:
                yield Found(host.finding("driver", subject, network=attached, driver=driver), name, where)
            for case, option, value in _options(network):
                yield Found(gateway.finding(case, subject, network=attached, option=option, value=value), name,
                            (*where, "driver_opts", option))


def _host_builds(service: Mapping[str, Any]) -> Iterator[Tuple[str, str]]:
    build = mapping(service.get("build"))
    if build.get("network") == "host":
        yield "network: host", "network"
    if "network.host" in [str(each).strip().lower() for each in listed(build.get("entitlements"))]:
        yield "entitlements: network.host", "entitlements"


def _options(network: Mapping[str, Any]) -> List[Tuple[str, str, str]]:
    """(case, option, value) of the driver options that open a network."""
    found = []
    for option, value in mapping(network.get("driver_opts")).items():
        text = str(value).strip().lower()
        if (option in _GATEWAY and text in _OPEN_MODES) or (option == _TRUSTED and text):
            found.append(("open", option, str(value)))
        elif option == _MASQUERADE and text in ("false", "0", "f"):
            found.append(("no-masquerade", option, str(value)))
    return found
