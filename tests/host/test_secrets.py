"""Secrets arrive byte for byte where they belong, and nowhere else."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from stack_on_host import inspect
from testinfra.host import Host

GOES_TO = {
    "DB_PASSWORD": ("db", "POSTGRES_PASSWORD"),
    "UPBIT_ACCESS_KEY": ("collector", "UPBIT_ACCESS_KEY"),
    "UPBIT_SECRET_KEY": ("bot", "UPBIT_SECRET_KEY"),
    "ANTHROPIC_API_KEY": ("bot", "ANTHROPIC_API_KEY"),
    "OPENAI_API_KEY": ("bot", "OPENAI_API_KEY"),
    "N8N_WEBHOOK_SECRET": ("bot", "N8N_WEBHOOK_SECRET"),
    "DASHBOARD_ACCESS_PASSWORD": ("dashboard", "DASHBOARD_ACCESS_PASSWORD"),
    "GRAFANA_ADMIN_USER": ("grafana", "GF_SECURITY_ADMIN_USER"),
    "GRAFANA_ADMIN_PASSWORD": ("grafana", "GF_SECURITY_ADMIN_PASSWORD"),
}


def environment(host: Host, service: str) -> dict[str, str]:
    """What the first process of the container really has."""
    pid = inspect(host, service)["State"]["Pid"]
    raw = host.run_expect([0], f"cat /proc/{pid}/environ").stdout_bytes
    return dict(entry.decode().split("=", 1) for entry in raw.split(b"\0") if entry)


@pytest.mark.parametrize("key", GOES_TO)
def test_a_secret_arrives_byte_for_byte(host: Host, secrets: dict[str, str], key: str) -> None:
    service, variable = GOES_TO[key]
    assert environment(host, service)[variable] == secrets[key]


def test_the_password_is_encoded_in_the_url_that_holds_it(host: Host, secrets: dict[str, str]) -> None:
    url = urlsplit(environment(host, "bot")["DATABASE_URL"])
    assert (url.hostname, url.port, url.path) == ("db", 5432, "/coinpilot")
    assert unquote(url.password or "") == secrets["DB_PASSWORD"]


def test_a_key_the_user_added_is_passed_through(host: Host) -> None:
    for service in ("collector", "bot", "dashboard"):
        assert environment(host, service)["MY_OWN_KEY"] == "for collector, bot and dashboard"
    assert "MY_OWN_KEY" not in environment(host, "db")


def test_no_secret_is_anywhere_but_in_env(host: Host, secrets: dict[str, str]) -> None:
    long = [value for value in secrets.values() if len(value) > 12]
    for command in ("cat /opt/coin-pilot/deploy/cloud/oci/docker-compose.prod.yml",
                    "cat /var/log/coinpilot/deploy.log", "journalctl --boot --no-pager --output=cat",
                    "docker inspect --format '{{json .Config.Labels}}{{json .Config.Cmd}}' "
                    "$(docker ps --quiet)", "ps -eo args", "cat /etc/systemd/system/coinpilot-compose.service"):
        said = host.run_expect([0], command).stdout
        assert not [value for value in long if value in said], command
