"""A host that was set up by hand from the runbook is taken over with its data."""

from __future__ import annotations

import shlex

import pytest
from stack_on_host import DIRECTORY, SERVICES, Play, assert_all_healthy, inspect, query
from testinfra.host import Host

# The runbook's stack as it was: three of its services, no confinement, images named by hand, `latest`.
BY_HAND = """
services:
  db:
    image: timescale/timescaledb:2.24.0-pg15
    container_name: coinpilot-db
    restart: unless-stopped
    environment:
      POSTGRES_DB: coinpilot
      POSTGRES_USER: postgres
      POSTGRES_PASSWORD: ${DB_PASSWORD:?DB_PASSWORD is required}
    volumes:
      - coinpilot_db_data:/var/lib/postgresql/data
  redis:
    image: redis:8.4.0-alpine
    container_name: coinpilot-redis
    restart: unless-stopped
    command: redis-server --appendonly yes
    volumes:
      - coinpilot_redis_data:/data
  dashboard:
    image: dashboard:latest
    container_name: coinpilot-dashboard
    restart: unless-stopped
    ports: ["127.0.0.1:8501:8501"]
    environment:
      DATABASE_URL: postgresql+asyncpg://postgres:made-by-hand@db:5432/coinpilot
      REDIS_HOST: redis
      DASHBOARD_ACCESS_PASSWORD: made-by-hand
volumes:
  coinpilot_db_data:
  coinpilot_redis_data:
"""
UNIT_BY_HAND = """[Unit]
Description=CoinPilot Docker Compose Stack
Requires=docker.service
[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=/opt/coin-pilot/deploy/cloud/oci
ExecStart=/usr/bin/docker compose -f docker-compose.prod.yml up -d
ExecStop=/usr/bin/docker compose -f docker-compose.prod.yml down
[Install]
WantedBy=multi-user.target
"""


def write(host: Host, path: str, text: str) -> None:
    host.check_output(f"printf %s {shlex.quote(text)} > {path}")


@pytest.fixture
def by_hand(host: Host) -> None:
    """Takes our traces off the host, keeps the volumes, and runs the stack as the runbook's reader does."""
    host.check_output("systemctl disable --now coinpilot-compose.service")
    image = inspect(host, "dashboard")["Config"]["Image"]
    host.check_output(f"docker tag {image} dashboard:latest")
    host.check_output(f"cd {DIRECTORY} && docker compose --env-file .env -f docker-compose.prod.yml down")
    password = host.check_output(f"grep ^DB_PASSWORD= {DIRECTORY}/.env")
    host.check_output("rm -rf /var/lib/coinpilot /etc/systemd/system/coinpilot-compose.service /opt/coin-pilot/source "
                      f"{DIRECTORY}/monitoring")
    write(host, f"{DIRECTORY}/docker-compose.prod.yml", BY_HAND)
    write(host, f"{DIRECTORY}/.env", password + "\nONLY_HERE=kept by hand\n")
    write(host, "/etc/systemd/system/coinpilot-compose.service", UNIT_BY_HAND)
    host.check_output(f"chown ubuntu {DIRECTORY}/.env && chmod 600 {DIRECTORY}/.env")
    host.check_output("systemctl daemon-reload && systemctl enable --now coinpilot-compose.service")
    host.check_output("timeout 300 sh -c 'until docker exec coinpilot-db pg_isready -q -h 127.0.0.1; do sleep 1; done'")
    query(host, "DROP TABLE IF EXISTS by_hand")
    query(host, "CREATE TABLE by_hand AS SELECT generate_series(1, 1000) AS n")
    host.check_output("docker exec coinpilot-redis redis-cli set by:hand yes")


@pytest.mark.usefixtures("restored", "by_hand")
def test_a_host_set_up_by_hand_is_adopted_with_its_data(host: Host, play: Play) -> None:
    shown = play("site.yml", {}, "--check", "--diff").expect_success()
    assert "no-new-privileges" in shown.output, "the difference is not shown"
    assert "-ONLY_HERE=***" in shown.output and "kept by hand" not in shown.output
    assert host.file(f"{DIRECTORY}/docker-compose.prod.yml").content_string == BY_HAND, "--check changed the host"

    # A first deploy of ours that fails leaves the stack that was made by hand.
    broken = {"bot": {"environment": {"SAMPLE_FAULT": "crash"}}}
    failed = play("site.yml", {"stack_service_overrides": broken}).expect_failure()
    assert "was undone" in failed.output
    assert host.file(f"{DIRECTORY}/docker-compose.prod.yml").content_string == BY_HAND
    assert inspect(host, "dashboard")["Config"]["Image"] == "dashboard:latest"
    assert query(host, "SELECT count(*) FROM by_hand") == "1000"

    play("site.yml").expect_success()
    assert_all_healthy(host)
    assert query(host, "SELECT count(*) FROM by_hand") == "1000"
    assert host.check_output("docker exec coinpilot-redis redis-cli get by:hand") == "yes"
    assert {inspect(host, service)["Config"]["Labels"]["com.docker.compose.project"] for service in SERVICES} == {"oci"}
    assert play("site.yml").expect_success().changed == 0
    query(host, "DROP TABLE by_hand")


def test_a_new_volume_is_not_made_while_the_data_is_in_another(host: Host, play: Play) -> None:
    """The runbook's §8.4: another project name, and all data seems lost."""
    before = host.check_output("docker volume ls --quiet | sort")
    run = play("site.yml", {"stack_project": "coinpilot"}).expect_failure()
    assert "oci_coinpilot_db_data" in run.output
    assert host.check_output("docker volume ls --quiet | sort") == before
    assert_all_healthy(host)
