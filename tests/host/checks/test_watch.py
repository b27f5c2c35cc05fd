"""The 24-hour watch on the provisioned host: armed by changes, by its timer, over a reboot, and told to Discord.

The host's clock stays: that a checkpoint is due is made by an arming that lies so far back.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from discord_on_host import CONTAINER, NETWORK, Discord
from stack_on_host import CHECKOUT, SERVICES, Play, assert_all_healthy, inspect, ops, said
from testinfra.host import Host

STATE = "/var/lib/coinpilot"
WATCH = f"{STATE}/watch"
# What was told of that which keeps the watch from going on.
TOLD = "/run/coinpilot-watch.json"
LOCK = f"{STATE}/deploy/lock"
SCRIPT = "/opt/coin-pilot/scripts/ops/check_24h_monitoring.sh"
CHECKPOINTS = ["t0", "t1h", "t6h", "t12h", "t24h"]
_SINCE = f"""
import json, sys, time
path = "{WATCH}/armed.json"
armed = json.load(open(path))
armed["armed_at"] = int(time.time() - float(sys.argv[1]))
open(path, "w").write(json.dumps(armed))
"""


def armed(host: Host) -> dict[str, Any]:
    return dict(json.loads(host.file(f"{WATCH}/armed.json").content_string))


def history(host: Host) -> list[dict[str, Any]]:
    """The runs of this arming, oldest first."""
    runs = [json.loads(line) for line in host.check_output(f"cat {WATCH}/history.jsonl").splitlines()]
    return [run for run in runs if run["armed_at"] == armed(host)["armed_at"]]


def arm(host: Host, hours_ago: float = 0.0, reason: str = "by a test") -> None:
    """By hand. The timer waits meanwhile: it is the test that says when a turn comes."""
    host.check_output("systemctl stop coinpilot-watch.timer; "
                      "while systemctl is-active coinpilot-watch.service | grep -q activating; do sleep 0.2; done")
    host.check_output(f"rm -f {WATCH}/armed.json {WATCH}/pending.json {TOLD}")
    host.check_output(f"coinpilot-ops watch arm --reason '{reason}'")
    host.check_output(f"python3 -c '{_SINCE}' {hours_ago * 3600}")


def metrics(host: Host) -> dict[str, float]:
    text = host.file("/var/lib/coinpilot/metrics/watch.prom").content_string
    return {name: float(value) for name, value in re.findall(r"^coinpilot_watch_(\S+) (\S+)$", text, re.MULTILINE)}


def lines(host: Host) -> dict[str, str]:
    """What `coinpilot-ops status` says of each checkpoint."""
    _rc, report = ops(host, "status")
    return {finding["subject"]: finding["status"] + " " + finding["seen"]["en"] for finding in report["findings"]
            if finding["id"] in ("status-checkpoint", "status-due")}


@pytest.fixture
def timer(host: Host) -> Iterator[None]:
    """For tests that make turns themselves: the timer goes on afterwards, with nothing left to do or to miss."""
    yield
    host.check_output(f"rm -f {WATCH}/pending.json {STATE}/metrics/watch.prom; systemctl start coinpilot-watch.timer")


@pytest.fixture
def discord(host: Host) -> Iterator[Discord]:
    """The sink, which the host itself finds too."""
    sink = Discord(host)
    shown = json.loads(host.check_output(f"docker inspect {CONTAINER}"))[0]
    address = shown["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
    host.check_output(f"cp /etc/hosts /run/hosts.kept; echo {address} discord-sink >> /etc/hosts")
    yield sink
    host.check_output("cat /run/hosts.kept > /etc/hosts; rm /run/hosts.kept")
    sink.remove()


@pytest.fixture
def full_disk(host: Host) -> Iterator[None]:
    """A disk of its own for the state, with its content and no room."""
    host.check_output(
        f"mkdir /run/small && mount -t tmpfs -o size=16m,mode=700 small /run/small && cp -a {STATE}/. /run/small/ "
        f"&& mount --bind /run/small {STATE} && ! head -c 64M /dev/zero > {STATE}/filler 2> /dev/null")
    yield
    host.check_output(f"umount {STATE} && umount /run/small && rmdir /run/small")


def messages(discord: Discord, word: str = "점검") -> list[dict[str, Any]]:
    """What the watch told: of a checkpoint, or by another word of the title."""
    return [entry["message"] for entry in discord.ask("GET", "/messages")
            if entry["message"].get("username") == "CoinPilot" and word in entry["message"]["embeds"][0]["title"]]


def trouble(discord: Discord) -> list[str]:
    return [message["embeds"][0]["description"] for message in messages(discord, "the 24-hour watch cannot go on")]


@pytest.mark.usefixtures("restored")
def test_a_deploy_begins_the_watch_and_one_that_changes_nothing_does_not(host: Host, play: Play) -> None:
    begun = time.time()
    play("site.yml", {"stack_settings": {"LLM_MODE": "prod", "MY_OWN_KEY": "for the watch"}}).expect_success()
    first = armed(host)
    assert first["armed_at"] > begun - 5 and "bot" in first["reason"]["en"] and re.fullmatch(r"[0-9a-f]{12}",
                                                                                          first["release"])
    assert {name: (entry["id"], entry["started_at"]) for name, entry in first["baseline"].items() if name in SERVICES
            } == {name: (shown["Id"], shown["State"]["StartedAt"]) for name in SERVICES
                  for shown in [inspect(host, name)]}
    assert [line.split()[0] for line in lines(host).values()] == ["PASS"] * 5 and "KST" in lines(host)["T+24h"]
    run = play("site.yml", {"stack_settings": {"LLM_MODE": "prod", "MY_OWN_KEY": "for the watch"}}).expect_success()
    assert armed(host) == first, run.output


def test_the_timer_runs_what_is_due_and_then_starts_no_process(host: Host, discord: Discord) -> None:
    arm(host, 0.04)
    host.check_output("systemctl start coinpilot-watch.timer")
    host.check_output(f"timeout 300 sh -c 'until grep -q \"{armed(host)['armed_at']}\" {WATCH}/history.jsonl; "
                      "do sleep 1; done'")
    [run] = history(host)
    assert run["checkpoint"] == "t0" and run["late_seconds"] < 120 and set(run["items"].values()) <= {
        "PASS", "WARN", "FAIL", "UNKNOWN"}
    host.check_output("while systemctl is-active coinpilot-watch.service | grep -q activating; do sleep 0.2; done")
    [message] = messages(discord)
    assert "T+0m" in message["embeds"][0]["title"] and "by a test" in message["embeds"][0]["description"]
    assert host.run("systemctl is-failed coinpilot-watch.service").stdout.strip() != "failed"
    host.check_output(f"rm {WATCH}/pending.json; systemctl start coinpilot-watch.service")
    assert "ConditionResult=no" in host.check_output("systemctl show coinpilot-watch.service -p ConditionResult")


@pytest.mark.usefixtures("timer")
def test_what_was_missed_runs_late_and_says_so_and_the_last_gives_the_verdict(host: Host, discord: Discord) -> None:
    arm(host, 30)
    _rc, report = ops(host, "watch run")
    told = {finding["subject"]: finding for finding in report["findings"] if finding["id"] == "watch-checkpoint"}
    assert list(told) and set(told) == set(CHECKPOINTS) and "late" in told["t24h"]["seen"]["en"], said(report)
    runs = history(host)
    assert [run["checkpoint"] for run in runs] == CHECKPOINTS
    assert runs[4]["late_seconds"] == pytest.approx(6 * 3600, abs=120)
    sent = messages(discord)
    assert [len(message["embeds"]) for message in sent] == [1, 1, 1, 1, 2]
    assert "24시간 감시 종료 (the 24-hour watch is over)" in sent[4]["embeds"][1]["title"]
    assert not discord.refused() and not host.file(f"{WATCH}/pending.json").exists
    numbers = metrics(host)
    assert {name for name in numbers if name.startswith("verdict")} == {
        f'verdict{{checkpoint="{name}"}}' for name in CHECKPOINTS}
    assert "next_due_timestamp_seconds" not in numbers and numbers["undelivered"] == 0
    assert ops(host, "watch run")[1]["findings"][0]["id"] == "watch-due"


@pytest.mark.usefixtures("timer")
def test_a_message_that_discord_does_not_take_is_sent_later(host: Host, discord: Discord, secrets: dict[str, str]
                                                            ) -> None:
    arm(host, 0.1)
    discord.mode(status=500)
    _rc, report = ops(host, "watch run")
    assert "HTTP 500" in said(report) and metrics(host)["undelivered"] == 1
    discord.mode()
    assert ops(host, "watch run")[1]["findings"][0]["id"] == "watch-due", "not each minute"
    host.check_output(f"sed -i 's/\"tried_at\": [0-9.]*/\"tried_at\": 0/' {WATCH}/pending.json")
    _rc, report = ops(host, "watch run")
    assert "delivered" in said(report) and metrics(host)["undelivered"] == 0 and len(messages(discord)) == 1
    kept = host.check_output(f"cat {WATCH}/* /var/lib/coinpilot/metrics/watch.prom")
    for text in (kept, json.dumps(messages(discord))):
        assert not [key for key, value in secrets.items() if len(value) >= 8 and value in text]


def test_a_full_disk_is_told_once_and_the_checkpoint_runs_when_there_is_room(
        host: Host, discord: Discord, request: pytest.FixtureRequest) -> None:
    arm(host)
    request.getfixturevalue("timer")
    # Before anything is due: the note of what is to be done is there already, and is not to be changed.
    ops(host, "watch run")
    host.check_output(f"python3 -c '{_SINCE}' 360")
    request.getfixturevalue("full_disk")
    for _turn in range(3):
        begun = time.monotonic()
        _rc, report = ops(host, "watch run")
        assert "cannot record" in said(report) and "watch-checkpoint" not in said(report)
        assert time.monotonic() - begun < 5
    [told] = trouble(discord)
    assert "df -h" in told and "No space left on device" in told and "기록할 수 없음" in told
    host.check_output(f"rm {STATE}/filler")
    assert [finding["subject"] for finding in ops(host, "watch run")[1]["findings"]
            if finding["id"] == "watch-checkpoint"] == ["t0"]
    assert len(messages(discord)) == 1 and not discord.refused()


@pytest.mark.usefixtures("timer")
def test_an_arming_that_was_damaged_is_told_and_the_watch_goes_on(host: Host, discord: Discord) -> None:
    arm(host, 0.01)
    host.check_output(f"echo '{{' > {WATCH}/armed.json; systemctl start coinpilot-watch.timer")
    host.check_output(f"timeout 300 sh -c 'until test -e {TOLD}; do sleep 1; done'; systemctl start coinpilot-watch")
    [told] = trouble(discord)
    assert "coinpilot-ops watch arm" in told and host.file(f"{WATCH}/pending.json").exists
    rc, report = ops(host, "check t0 --only ports")
    assert rc == 3 and [item["id"] for item in report["items"]] == ["watch", "ports"], said(report)
    # As it advises.
    host.check_output("coinpilot-ops watch arm --reason 'begun again'")
    host.check_output("systemctl start coinpilot-watch")
    assert len(trouble(discord)) == 1 and not json.loads(host.file(TOLD).content_string)["told"]


@pytest.mark.usefixtures("timer")
def test_a_checkpoint_that_falls_due_during_a_deploy_waits_for_its_end(host: Host) -> None:
    arm(host, 0.1)
    _rc, report = ops(host, "watch run", f"flock {LOCK}")
    assert [finding["id"] for finding in report["findings"]] == ["deploy-at-work"], said(report)
    _rc, report = ops(host, "watch run")
    assert "watch-checkpoint" in said(report)
    begun = time.monotonic()
    host.check_output(f"setsid flock {LOCK} sleep 8 > /dev/null 2>&1 & sleep 1")
    assert "deploy-at-work" not in said(ops(host, "verify --record")[1]) and time.monotonic() - begun > 8


def test_a_reboot_loses_no_checkpoint(host: Host, stand_in: str) -> None:
    arm(host, 2)
    host.check_output("systemctl start --no-block coinpilot-watch.timer; systemctl stop coinpilot-watch.timer")
    subprocess.run([sys.executable, str(CHECKOUT / "tests" / "stand_in" / "stand_in.py"), "reboot", "--name", stand_in],
                   check=True)
    host.check_output(f"timeout 360 sh -c 'until grep -q \"{armed(host)['armed_at']}\" {WATCH}/history.jsonl; "
                      "do sleep 2; done'")
    # Only once the stack was up again, and what looks at it too.
    assert_all_healthy(host)
    runs = history(host)
    assert [run["checkpoint"] for run in runs] == ["t0", "t1h"] and min(run["late_seconds"] for run in runs) > 3000
    assert [line.split()[0] for line in lines(host).values()][2:] == ["PASS"] * 3
    assert not [problem["seen"]["en"] for run in runs for problem in run["problems"]
                if problem["status"] == "FAIL" and problem["id"] in ("service", "metrics-target")]


@pytest.mark.usefixtures("timer")
def test_a_history_damaged_by_hand_is_one_line_and_is_set_aside(host: Host) -> None:
    host.check_output(f"rm -f {WATCH}/history.jsonl.damaged; echo '{{by hand' >> {WATCH}/history.jsonl")
    done = host.run("coinpilot-ops status")
    assert (done.rc, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "history.jsonl" in done.stderr
    _rc, report = ops(host, "verify --record")
    assert "history.jsonl.damaged" in said(report)
    assert host.file(f"{WATCH}/history.jsonl.damaged").content_string == "{by hand\n"
    assert host.run("coinpilot-ops status").rc in (0, 1, 3)


def test_the_runbooks_script_needs_no_sudo_and_writes_its_file(host: Host, person: Host) -> None:
    output = "/var/log/coinpilot/monitoring-24h.log"
    host.check_output(f"rm -f {output}")
    done = person.run(f"cd /opt/coin-pilot && scripts/ops/check_24h_monitoring.sh t0 --output {output}")
    assert done.rc in (0, 1, 3) and host.file(output).content_string == done.stdout
    assert person.run(f"{SCRIPT} --lang en").stdout.split(":")[0] in ("PASS", "WARN", "FAIL", "UNKNOWN")
    wrong = person.run(f"{SCRIPT} t2h")
    assert (wrong.rc, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1) and "t2h" in wrong.stderr
    unwritable = person.run(f"{SCRIPT} all --output /nowhere/at.log")
    assert (unwritable.rc, unwritable.stderr.count("\n")) == (2, 1)
