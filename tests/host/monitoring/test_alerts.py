"""Real failures on the provisioned host, each told once and resolved once, while Discord refuses, hangs or is gone.

The rules ask for a minute where they ask for hours in truth, and wait for nothing; their conditions are their own. Each
test goes on from where the one before has left the host: what is mended in one is told as resolved in the next.
Grafana is a double here: it reads the real files, asks the real Prometheus and moves as Grafana does.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from typing import Any

import pytest
from backup_on_host import ROOT, STATE
from discord_on_host import Discord, Told, count, titles
from testinfra.host import Host

GRAFANA = "http://127.0.0.1:3000"
# What the bot measures is had by a second job, so that more can be found out while its own is of no use.
SECOND_JOB = {"name": "coinpilot-again", "target": "bot:8000"}
RENAMED = [{"name": "coinpilot-core", "target": "bot-of-another-name:8000"}, SECOND_JOB]
MENDED = [{"name": "coinpilot-core", "target": "bot:8000"}, SECOND_JOB]
FIRST = {"ApiLatencyP95High", "VolatilityMetricMissing", "ContainerRestartLoop", "DiskFillingUp", "BackupTooOld",
         "BotDown"}
SECOND = {"ServiceUnhealthy", "VolatilityFrozen"}
# A stopped bot measures nothing any more.
TWICE = {"BotDown", "VolatilityMetricMissing"}
# What is mounted later is seen by services on a VM, but not in a container, whose mounts systemd leaves private.
MEASURE_ANEW = "systemctl restart coinpilot-metrics.service"
Asked = Callable[[str], Any]
Configure = Callable[..., None]


def fault(host: Host, service: str, faults: str = "") -> None:
    """README.md of the sample application says what they do; none ends them."""
    key = f"sample:fault:{service}"
    host.check_output(shlex.join(["docker", "exec", "coinpilot-redis", "redis-cli",
                                  *(["set", key, faults] if faults else ["del", key])]))


@pytest.fixture(scope="module")
def asked(host: Host, secrets: dict[str, str]) -> Asked:
    """What Grafana's API answers its administrator."""
    user = f"{secrets['GRAFANA_ADMIN_USER']}:{secrets['GRAFANA_ADMIN_PASSWORD']}"

    def ask(path: str) -> Any:
        command = ["curl", "-sSf", "--max-time", "10", "--user", user, GRAFANA + path]
        return json.loads(host.check_output(shlex.join(command)))

    return ask


def last_delivery(asked: Asked) -> str:
    """What went wrong with it; nothing, when it arrived."""
    receivers = asked("/api/alertmanager/grafana/config/api/v1/receivers")
    integration = next(receiver for receiver in receivers if receiver["name"] == "discord (managed)")["integrations"][0]
    return str(integration.get("lastNotifyAttemptError", ""))


def wait_for_delivery(asked: Asked, words: str, seconds: int = 300) -> None:
    deadline = time.monotonic() + seconds
    while words not in last_delivery(asked):
        assert time.monotonic() < deadline, f"no delivery ended with {words!r}, but with {last_delivery(asked)!r}"
        time.sleep(1)


def evaluated(asked: Asked) -> set[str]:
    """When each rule was evaluated last."""
    groups = asked("/api/prometheus/grafana/api/v1/rules")["data"]["groups"]
    return {rule["lastEvaluation"] for group in groups for rule in group["rules"]}


def test_six_failures_at_once_are_told_once_each_though_discord_limits_the_rate(
        host: Host, configure: Configure, discord: Discord, asked: Asked) -> None:
    host.check_output("coinpilot-ops backup redis")
    discord.mode(status=429, retry_after=2)

    fault(host, "bot", "latency=5, volatility-missing")
    fault(host, "collector", "crash")
    # A file system of its own in the place of the backups': nothing else runs full.
    host.check_output(f"mount -t tmpfs -o size=20m tmpfs {ROOT} && fallocate -l 19M {ROOT}/filler && {MEASURE_ANEW}")
    host.check_output(f"sed -i -E 's/^(coinpilot_backup_last_success_timestamp_seconds[^ ]*) .*/\\1 1700000000/' "
                      f"{STATE}/metrics/coinpilot_backup_redis.prom")
    configure(monitoring_jobs=RENAMED)

    wait_for_delivery(asked, "429")
    discord.mode()
    discord.wait(dict.fromkeys(FIRST, Told(1, 0)))
    assert last_delivery(asked) == ""


def test_a_hung_bot_is_told_and_what_was_mended_is_resolved_though_discord_refuses_the_token(
        host: Host, configure: Configure, discord: Discord, asked: Asked) -> None:
    discord.mode(status=401)
    fault(host, "bot")
    fault(host, "collector")
    host.check_output(f"umount {ROOT} && {MEASURE_ANEW} && coinpilot-ops backup redis")
    configure(monitoring_jobs=MENDED)
    host.check_output("docker restart coinpilot-collector")
    # The volatility is exported again once the loop has gone round.
    time.sleep(10)
    fault(host, "bot", "hang")

    wait_for_delivery(asked, "401")
    discord.mode()
    discord.wait(dict.fromkeys(FIRST, Told(1, 1)) | dict.fromkeys(SECOND, Told(1, 0)))


def test_a_stopped_bot_is_told_though_discord_cannot_be_reached(host: Host, discord: Discord, asked: Asked) -> None:
    discord.leave()
    host.check_output("docker stop coinpilot-bot")
    wait_for_delivery(asked, "Post")
    discord.come_back()
    discord.wait(dict.fromkeys(TWICE, Told(2, 1)))


def test_a_discord_that_answers_slowly_holds_nothing_up(host: Host, discord: Discord, asked: Asked) -> None:
    discord.mode(delay=25)
    fault(host, "bot")
    host.check_output("docker start coinpilot-bot")
    before, deadline = evaluated(asked), time.monotonic() + 300
    while before & evaluated(asked):
        assert time.monotonic() < deadline, "a rule has not been evaluated meanwhile"
        time.sleep(1)
    discord.wait(dict.fromkeys(SECOND, Told(1, 1)) | dict.fromkeys(TWICE, Told(2, 2)))


def test_nothing_was_told_twice_and_nothing_else_was(discord: Discord) -> None:
    messages = discord.alerts()
    told = {name: count(messages, name) for name in FIRST | SECOND}
    assert told == {name: Told(2, 2) if name in TWICE else Told(1, 1) for name in told}
    assert len(messages) == sum(map(sum, told.values())), titles(messages)
    assert not [entry["problems"] for entry in discord.refused() if entry["problems"]]


def test_what_is_told_says_what_to_do_in_both_languages(discord: Discord) -> None:
    message = next(message for message in discord.alerts() if "ContainerRestartLoop" in message.title)
    assert "docker logs --tail 200 coinpilot-collector" in message.content
    assert "호스트에서" in message.content and "On the host" in message.content and "{{" not in message.content


def test_the_address_of_the_webhook_is_shown_nowhere(host: Host, secrets: dict[str, str], asked: Asked) -> None:
    token = secrets["DISCORD_WEBHOOK_URL"].rsplit("/", 1)[1]
    for service in ("grafana", "n8n", "bot"):
        assert token not in host.check_output(f"docker logs coinpilot-{service} 2>&1"), service
    paths = ["/api/prometheus/grafana/api/v1/rules", "/api/v1/provisioning/alert-rules",
             "/api/alertmanager/grafana/api/v2/alerts", "/api/v1/provisioning/contact-points",
             "/api/alertmanager/grafana/config/api/v1/receivers"]
    paths += [f"/api/dashboards/uid/{entry['uid']}" for entry in asked("/api/search")]
    for path in paths:
        assert token not in json.dumps(asked(path)), path
