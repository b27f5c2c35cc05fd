"""Each fault of a table, on the provisioned host: it turns its own line of the checklist and no other; mended, none.

What is a double here: the kernel's numbers (memory, swap) and chrony's are files in their place, and so is what Docker
has noted of a container that was killed for want of memory. Grafana is the stand-in's, which reads the real files and
asks the real Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from checks_on_host import Checked, Fault
from discord_on_host import Discord
from faults_on_host import (
    ALL_BUT_DASHBOARD,
    ALL_HEALTHY,
    BACKUPS,
    COMPOSE_FILE,
    CONTACT_POINTS,
    CRON,
    ENV,
    HANG_UP,
    KEPT,
    NEWEST,
    POLICIES,
    PROMETHEUS_FILE,
    RISK,
    RULES_FILE,
    SCRIPTS,
    STATE,
    aged,
    application,
    both,
    container,
    edited,
    editor,
    guarded,
    healthy,
    kept_backup,
    kernel,
    kernel_back,
    no_silence,
    out_of_memory,
    put_back,
    put_back_backup,
    reload_grafana,
    remade,
    removed,
    rules_changed,
    scraped,
    secret,
    sh,
    silence,
    sql,
    targets,
    unguarded,
)
from stack_on_host import Play, assert_all_healthy
from testinfra.host import Host

# What cannot be judged while Docker does not answer.
OF_DOCKER = frozenset({"services", "restarts", "configuration", "containers", "volumes", "ports", "logs", "activity",
                       "batch-jobs", "metrics", "alert-rules", "notification", "webhooks", "n8n-data"})
MINE = "s/discord (managed)/mine/"
ITS_NAME = "redis/daily/coinpilot_redis_TIME.tar.zst"
OLD_STATUS = '{"timestamp": "2020-01-01T00:00:00+00:00"}'
REDIS_CLI = "docker exec coinpilot-redis redis-cli"
EXPORTER_UP = 'up{instance="node-exporter:9100"}'
# As `chronyc -c tracking` says it, on a clock that is half a minute off.
TRACKING = "A29FC87B,192.0.2.1,2,1795436903.0,31.5,0.1,0.1,-8.9,0.01,0.02,0.01,0.001,64.0,Normal"
KILL = "kill -9 $(docker inspect --format '{{{{.State.Pid}}}}' coinpilot-{})"

FAULTS = [
    # Services and their containers. The dashboard is the one that no other needs.
    Fault("paused", sh("docker pause coinpilot-dashboard"), sh("docker unpause coinpilot-dashboard"),
          {("services", "service", "dashboard", "FAIL")}, "paused"),
    Fault("exited", sh("docker stop coinpilot-dashboard"),
          both(sh("docker start coinpilot-dashboard"), healthy("dashboard")),
          {("services", "service", "dashboard", "FAIL")}, "exited", leaves=True),
    Fault("missing", removed("dashboard"), both(remade("dashboard"), healthy("dashboard")),
          {("services", "service", "dashboard", "FAIL")}, "missing", frozenset({"logs"}), leaves=True),
    Fault("renamed", sh("docker rename coinpilot-dashboard coinpilot-dashboard-old"),
          sh("docker rename coinpilot-dashboard-old coinpilot-dashboard"),
          {("containers", "container-name", "dashboard", "WARN")}, "is called coinpilot-dashboard-old"),
    Fault("killed and back", both(remade("dashboard", {"coinpilot": "coinpilot"}), healthy("dashboard"),
                                   sh(KILL.format("dashboard"))), both(remade("dashboard"), healthy("dashboard")),
          {("restarts", "restart", "dashboard", "FAIL")}, "died once and came back", leaves=True),
    Fault("restart loop", remade("dashboard", {"app.dashboard": "app.nothing"}),
          both(remade("dashboard"), healthy("dashboard")),
          {("services", "service", "dashboard", "FAIL")}, "restarting", leaves=True),
    Fault("unhealthy", application("dashboard", "unhealthy"), both(application("dashboard"), healthy("dashboard")),
          {("services", "service", "dashboard", "FAIL")}, "unhealthy", leaves=True),
    Fault("another container of a service", container("oci-dashboard-2", service="dashboard"),
          sh("docker rm --force oci-dashboard-2"),
          {("containers", "extra-container", "oci-dashboard-2", "FAIL")}, "one more container of dashboard"),
    Fault("orphan", container("coinpilot-worker", service="worker"), sh("docker rm --force coinpilot-worker"),
          {("configuration", "stranger", "coinpilot-worker", "WARN")}, "is not described"),
    Fault("wrong project", container("deploy-db-1", service="db", project="deploy"),
          sh("docker rm --force deploy-db-1"),
          {("containers", "foreign-container", "deploy-db-1", "FAIL")}, "volumes of its own"),
    Fault("wrong volume", both(remade("prometheus", {"oci_coinpilot_prometheus_data": "deploy_prometheus_data"}),
                               healthy("prometheus")),
          both(remade("prometheus"), healthy("prometheus"), sh("docker volume rm deploy_prometheus_data")),
          # An empty Prometheus gives some rules no data until it has asked twice.
          {("volumes", "volume", "prometheus", "FAIL")}, "deploy_prometheus_data", leaves=True),
    Fault("wrong image", both(sh("docker tag redis:8.4.0-alpine redis:7"),
                              remade("redis", {"redis:8.4.0-alpine": "redis:7"}), healthy("redis")),
          both(remade("redis"), healthy("redis"), sh("docker rmi redis:7")),
          {("configuration", "image", "redis", "FAIL")}, "redis:7", leaves=True),
    Fault("open to the world", both(remade("dashboard", {'"HostIp": "127.0.0.1"': '"HostIp": "0.0.0.0"'}),
                                    healthy("dashboard")), both(remade("dashboard"), healthy("dashboard")),
          {("ports", "port", "dashboard", "FAIL")}, "0.0.0.0:8501", leaves=True),

    # What the deploy put in force.
    Fault("edited compose file", edited(COMPOSE_FILE, "s/^# /#  /;1s/$/ /"), put_back(COMPOSE_FILE),
          {("deployed-files", "deployed-file", COMPOSE_FILE, "FAIL")}, "edited since the last deploy"),
    Fault("edited setting of a service", edited(COMPOSE_FILE, "s/mem_limit: 768m/mem_limit: 700m/"),
          put_back(COMPOSE_FILE),
          {("deployed-files", "deployed-file", COMPOSE_FILE, "FAIL")}, "edited since the last deploy",
          frozenset({"configuration"})),
    Fault("edited .env", edited(ENV, "s/^LLM_MODE=.*/LLM_MODE=other/"), put_back(ENV),
          {("deployed-files", "deployed-file", ENV, "FAIL")}, "LLM_MODE", frozenset({"configuration"})),
    Fault(".env open to others", sh(f"chmod 644 {ENV}"), sh(f"chmod 600 {ENV}"),
          {("secrets-file", "env-file", ENV, "FAIL")}, "others may read it"),
    Fault("unit disabled", sh("systemctl disable coinpilot-compose.service"),
          sh("systemctl enable coinpilot-compose.service"),
          {("unit", "unit", "coinpilot-compose.service", "FAIL")}, "disabled"),

    # Cron and its jobs.
    Fault("cron stopped", sh("systemctl stop cron"), sh("systemctl start cron"),
          {("cron", "cron", "cron.service", "FAIL")}, "inactive"),
    Fault("table removed", sh(f"mkdir -p {KEPT} && mv {CRON} {KEPT}/"), sh(f"mv {KEPT}/coinpilot-backup {CRON}"),
          {("cron", "cron-table", CRON, "FAIL")}, "is not there"),
    Fault("job removed", edited(CRON, "/redis_backup/d"), put_back(CRON),
          {("cron", "cron-job", f"{SCRIPTS}/redis_backup.sh", "FAIL")}, "not in"),
    Fault("job at another time", edited(CRON, "s/^15 3 /15 4 /"), put_back(CRON),
          {("cron", "cron-job", f"{SCRIPTS}/redis_backup.sh", "FAIL")}, "at 15 4 * * *"),
    Fault("script not executable", sh(f"chmod -x {SCRIPTS}/postgres_backup.sh"),
          sh(f"chmod +x {SCRIPTS}/postgres_backup.sh"),
          {("cron", "cron-command", f"{SCRIPTS}/postgres_backup.sh", "FAIL")}, "cannot be run"),

    # Backups. All is done to Redis' one.
    Fault("backup old", both(aged, sh(f"touch -d '4 days ago' {CRON}")), both(put_back_backup, sh(f"touch {CRON}")),
          {("backups", "backup-newest", "redis", "FAIL")}, "one was due at"),
    Fault("backups gone", both(kept_backup, sh(f"rm -r {BACKUPS}", f"touch -d '4 days ago' {CRON}")),
          both(put_back_backup, sh(f"touch {CRON}")),
          {("backups", "backup-newest", "redis", "FAIL")}, "there is no good one"),
    Fault("backup empty", both(kept_backup, sh(f"truncate -s 0 {NEWEST}")), put_back_backup,
          {("backups", "backup-file", ITS_NAME, "FAIL")}, "empty (0 bytes)"),
    Fault("backup corrupt", both(kept_backup, sh(f"printf damage | dd of={NEWEST} bs=1 seek=100 conv=notrunc "
                                                 "status=none")), put_back_backup,
          {("backups", "backup-file", ITS_NAME, "FAIL")}, ""),
    Fault("sidecar missing", both(kept_backup, sh(f"rm {NEWEST}.sha256")), put_back_backup,
          {("backups", "backup-sidecar", ITS_NAME, "FAIL")}, "missing"),
    Fault("rehearsal failed", edited(f"{STATE}/backup/redis.json", '/"last_rehearsal"/,/}/s/"ok": true/"ok": false/'),
          put_back(f"{STATE}/backup/redis.json"), {("rehearsal", "backup-rehearsal", "redis", "FAIL")}, "failed at"),

    # Prometheus' targets.
    Fault("target down", targets("s/node-exporter:9100/node-exporter:9101/"), put_back(PROMETHEUS_FILE, HANG_UP),
          {("metrics", "metrics-target", "node", "FAIL")}, "connection refused"),
    Fault("target gone", targets("/job_name: node/,+2d"), put_back(PROMETHEUS_FILE, HANG_UP),
          {("metrics", "metrics-target", "node", "FAIL")}, "stopped asking"),
    Fault("job renamed", targets("s/job_name: coinpilot-core/job_name: coinpilot-bot/"),
          put_back(PROMETHEUS_FILE, HANG_UP), {("metrics", "metrics-target", "coinpilot-core", "FAIL")},
          "under another name"),
    Fault("target flapping", both(sh("docker pause coinpilot-node-exporter"), scraped(f"{EXPORTER_UP} == 0"),
                                  sh("docker unpause coinpilot-node-exporter"), scraped(f"{EXPORTER_UP} == 1"),
                                  healthy("node-exporter")), sh("true"),
          {("metrics", "metrics-target", "node", "WARN")}, "up now, but down in", leaves=True),

    # Grafana: rules and the way of a message.
    Fault("rules deleted, paused and edited",
          both(rules_changed(lambda group, rule: group["rules"].remove(rule), "VolatilityMetricMissing"),
               rules_changed(lambda group, rule: rule.update(isPaused=True), "ApiLatencyP95High"),
               rules_changed(lambda group, rule: rule.update({"for": "9h"}), "BotDown"), reload_grafana),
          put_back(RULES_FILE, reload=True),
          {("alert-rules", "alert-rule", name, "FAIL") for name in ("VolatilityMetricMissing", "ApiLatencyP95High",
                                                                    "BotDown")}, "Grafana does not have it"),
    Fault("rule without data", targets("s/job_name: node$/&\\n    metric_relabel_configs: [{source_labels: "
                                       "[__name__], regex: node_memory_MemAvailable_bytes, action: drop}]/"),
          put_back(PROMETHEUS_FILE, HANG_UP),
          {("alert-rules", "alert-rule", "HostMemoryLow", "WARN")}, "sees no data"),
    Fault("contact point of another name",
          both(edited(CONTACT_POINTS, MINE), edited(POLICIES, MINE), reload_grafana),
          both(put_back(CONTACT_POINTS), put_back(POLICIES), reload_grafana),
          {("notification", "contact-point", "discord (managed)", "FAIL"),
           ("notification", "alert-routing", "discord (managed)", "FAIL")}, "Grafana does not have it"),
    Fault("silence over all", silence, no_silence,
          {("notification", "alert-silence", "discord (managed)", "WARN")}, "", leaves=False),

    # n8n's workflows.
    Fault("webhook inactive", lambda checked: editor(checked).deactivate(RISK),
          lambda checked: editor(checked).activate(RISK),
          {("webhooks", "n8n-webhook", "/webhook/risk", "FAIL")}, "is not active"),
    Fault("webhook without the secret", unguarded, guarded,
          {("webhooks", "n8n-webhook", "/webhook/risk", "FAIL")}, "without the secret"),
    # The bot calls once a minute or so.
    Fault("secret of the webhooks wrong", lambda checked: secret(checked, "another"),
          both(lambda checked: secret(checked, checked.secrets["N8N_WEBHOOK_SECRET"]), sh("sleep 5")),
          {("logs", "log-errors", "bot", "FAIL")}, "a message did not reach n8n", leaves=True),

    # What the application writes, and what it logs.
    Fault("traceback in the collector only", application("collector", "traceback"), application("collector"),
          {("logs", "log-errors", "collector", "FAIL")}, "traceback", leaves=True),
    Fault("feeds fail", application("bot", "rss-failed"), application("bot"),
          {("logs", "log-warnings", "bot", "WARN")}, "news feeds", leaves=True),
    Fault("the daily report fails", application("bot", "report-failed"), application("bot"),
          {("logs", "log-errors", "bot", "FAIL")}, "daily report", leaves=True),
    # The last of it is still written for a moment.
    Fault("log flood", application("dashboard", "flood=5000"), both(application("dashboard"), sh("sleep 5")),
          {("logs", "log-flood", "dashboard", "FAIL")}, "within a minute", leaves=True),
    Fault("silence of the collector", application("collector", "silence"), application("collector"),
          {("logs", "log-silence", "collector", "FAIL")}, "nothing written", leaves=True),
    # Its round that is under way may still write one.
    Fault("no candles", both(application("collector", "stale"), sh("sleep 10"),
                             sql("UPDATE market_data SET timestamp = timestamp - interval '3 hours'")),
          both(application("collector"), sql("UPDATE market_data SET timestamp = timestamp + interval '3 hours' "
                                             "WHERE timestamp < now() - interval '2 hours'")),
          {("activity", "activity", "market_data", "FAIL")}, "the newest is 3 hours old"),
    Fault("no status of the bot",
          both(application("bot", "stale"), sh("sleep 6", f"{REDIS_CLI} set bot:status:KRW-BTC '{OLD_STATUS}'")),
          application("bot"), {("activity", "activity", "bot_status", "FAIL")}, "the bot's status"),

    # The host.
    Fault("disk full", sh("mkdir -p /srv/full && mount -t tmpfs -o size=20m tmpfs /srv/full",
                          "fallocate -l 19M /srv/full/filler"), sh("umount /srv/full && rmdir /srv/full"),
          {("disk", "disk", "/srv/full", "FAIL")}, "% free"),
    Fault("no inodes left", sh("mkdir -p /srv/full && mount -t tmpfs -o nr_inodes=20 tmpfs /srv/full",
                               "seq 18 | xargs -I{} touch /srv/full/{}"), sh("umount /srv/full && rmdir /srv/full"),
          {("disk", "inodes", "/srv/full", "FAIL")}, "hardly a file"),
    Fault("memory short", kernel("/proc/meminfo", r"s/^MemAvailable:.*/MemAvailable: 100000 kB/"),
          kernel_back("/proc/meminfo"), {("memory", "memory", "", "FAIL")}, "% available"),
    Fault("swap full", kernel("/proc/meminfo", r"s/^SwapTotal:.*/SwapTotal: 2000000 kB/",
                              r"s/^SwapFree:.*/SwapFree: 1000 kB/"),
          kernel_back("/proc/meminfo"), {("memory", "swap", "", "WARN")}, "memory has run short"),
    Fault("clock off", sh(f"printf '#!/bin/sh\\necho {TRACKING}\\n' > /usr/local/bin/chronyc",
                          "chmod +x /usr/local/bin/chronyc"), sh("rm /usr/local/bin/chronyc"),
          {("clock", "clock", "", "FAIL")}, "31.5 s off"),
    Fault("a unit of the stack stopped", sh("systemctl stop coinpilot-metrics.service"),
          sh("systemctl start coinpilot-metrics.service"),
          {("own-units", "unit-of-stack", "coinpilot-metrics.service", "FAIL")}, "inactive"),
    Fault("verification never runs", sh("systemctl disable --now coinpilot-verify.timer"),
          sh("systemctl enable --now coinpilot-verify.timer"),
          {("own-units", "unit-of-stack", "coinpilot-verify.timer", "FAIL")}, "disabled"),
    Fault("reboot pending", sh("touch /run/reboot-required", "echo linux-image-oracle > /run/reboot-required.pkgs"),
          sh("rm /run/reboot-required*"), {("updates", "host-reboot", "", "WARN")}, "linux-image-oracle"),

    # Whole programs.
    Fault("Prometheus down", sh("docker stop coinpilot-prometheus"),
          both(sh("docker start coinpilot-prometheus"), healthy("prometheus")),
          {("services", "service", "prometheus", "FAIL")}, "exited", frozenset({"metrics", "alert-rules"}),
          leaves=True),
    Fault("Grafana down", sh("docker stop coinpilot-grafana"),
          both(sh("docker start coinpilot-grafana"), healthy("grafana")),
          {("services", "service", "grafana", "FAIL")}, "exited", frozenset({"alert-rules", "notification"})),
    Fault("n8n down", sh("docker stop coinpilot-n8n"), both(sh("docker start coinpilot-n8n"), healthy("n8n")),
          {("services", "service", "n8n", "FAIL")}, "exited", frozenset({"webhooks"}), leaves=True),
    Fault("cache down", sh("docker stop coinpilot-redis"),
          both(sh("docker start coinpilot-redis"), healthy("redis", "bot")),
          {("services", "service", "redis", "FAIL")}, "exited", frozenset({"activity"}), leaves=True),
    Fault("database down", sh("docker stop coinpilot-db"),
          both(sh("docker start coinpilot-db"), healthy("db", "bot", "collector", "dashboard")),
          {("services", "service", "db", "FAIL")}, "exited", frozenset({"activity"}), leaves=True),
    Fault("Docker down", sh("systemctl stop docker.socket docker"), both(sh("systemctl start docker"), ALL_HEALTHY),
          {("own-units", "unit-of-stack", unit, "FAIL") for unit in ("docker.service", "coinpilot-firewall.service")},
          "inactive", OF_DOCKER, leaves=True),
    Fault("killed for want of memory", both(sh("docker stop coinpilot-dashboard"), out_of_memory, ALL_BUT_DASHBOARD,
                                               Checked.arm),
          both(sh("docker start coinpilot-dashboard"), healthy("dashboard")),
          {("services", "service", "dashboard", "FAIL")}, "out of memory", leaves=True),
]


@pytest.fixture(scope="module")
def discord(host: Host) -> Iterator[Discord]:
    discord = Discord(host)
    yield discord
    discord.remove()


@pytest.fixture(scope="module")
def checked(host: Host, secrets: dict[str, str], discord: Discord) -> Checked:
    """What could not be delivered before the sink was there has been by now."""
    host.check_output(f"rm -rf {KEPT}")
    host.run("coinpilot-ops monitoring --prove")
    # One to be broken, and an older good one.
    host.check_output("coinpilot-ops backup && coinpilot-ops backup redis && coinpilot-ops restore-rehearsal")
    # What may take half an hour in truth takes a minute here.
    host.check_output("sed -i -e 's/\"max_age\": \"10m\"/\"max_age\": \"1m\"/' "
                      "-e 's/\"collector\": \"30m\"/\"collector\": \"45s\"/' /etc/coinpilot/stack.json")
    return Checked(host, secrets)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_turns_its_own_line_and_no_other(checked: Checked, fault: Fault) -> None:
    # What starts anew some minutes after the watch began is told as a restart, and rightly.
    checked.arm()
    try:
        fault.inject(checked)
        checked.wait(fault.turns, fault.blinds, fault.says)
    finally:
        fault.repair(checked)
        if fault.leaves:
            checked.arm()
    checked.wait(set())


def test_the_host_is_as_it_was(host: Host, play: Play, checked: Checked) -> None:
    play("site.yml").expect_success()
    checked.arm()
    checked.wait(set())
    assert_all_healthy(host)
