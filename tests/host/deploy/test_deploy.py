"""A deploy ends healthy, or ends where it began."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stack_on_host import CHECKOUT, DIRECTORY, SERVICES, Play, assert_all_healthy, inspect, query, started
from testinfra.host import Host

OURS = [f"{DIRECTORY}/docker-compose.prod.yml", f"{DIRECTORY}/.env"]


def checksums(host: Host) -> str:
    return host.check_output("sha256sum " + " ".join(OURS))


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [service for service in SERVICES if before[service] != after[service]]


@pytest.mark.usefixtures("restored")
def test_only_the_service_whose_setting_changed_is_restarted(host: Host, play: Play) -> None:
    before = started(host)
    play("site.yml", {"stack_settings": {"LLM_MODE": "prod", "MY_OWN_KEY": "for collector, bot and dashboard"}}
         ).expect_success()
    assert changed(before, started(host)) == ["bot"]


@pytest.mark.parametrize(("overrides", "said"), [
    ({"bot": {"environment": {"SAMPLE_FAULT": "crash"}}}, ["bot (coinpilot-bot)", "restarted", "Traceback"]),
    ({"bot": {"environment": {"SAMPLE_FAULT": "unhealthy"}}}, ["bot (coinpilot-bot)", "not healthy within 60 s"]),
    ({"redis": {"image": "python:3.12-slim"}}, ["unable to find user redis"]),
    # The database itself is well; those who look for it where it was are not.
    ({"db": {"environment": {"PGPORT": "5433"}}}, ["collector (coinpilot-collector)", "Critical Error"]),
], ids=["crash", "unhealthy", "wrong-image", "moved-port"])
def test_a_change_that_does_not_end_healthy_is_undone(host: Host, play: Play, overrides: dict[str, object],
                                                      said: list[str]) -> None:
    files, images = checksums(host), {service: inspect(host, service)["Image"] for service in SERVICES}
    rows = int(query(host, "SELECT count(*) FROM market_data"))
    run = play("site.yml", {"stack_service_overrides": overrides, "compose_stack_timeout": 60}).expect_failure()
    assert not [text for text in ["was undone", *said] if text not in run.output], run.output[-5000:]
    assert checksums(host) == files
    assert {service: inspect(host, service)["Image"] for service in SERVICES} == images
    assert_all_healthy(host)
    assert int(query(host, "SELECT count(*) FROM market_data")) >= rows


def test_a_source_that_does_not_build_leaves_the_running_stack_alone(host: Host, play: Play, tmp_path: Path) -> None:
    source = broken_source(tmp_path, "RUN false")
    before, files = started(host), checksums(host)
    run = play("site.yml", {"application_source_directory": str(source)}).expect_failure()
    assert "Building" in run.output and "not touched" in run.output
    assert (started(host), checksums(host)) == (before, files)
    assert play("site.yml").expect_success().changed == 1, "more than the source on the host was put right"


def test_a_new_version_of_the_application_replaces_its_services_only(host: Host, play: Play, tmp_path: Path) -> None:
    source = broken_source(tmp_path, "RUN true")
    before = started(host)
    release = inspect(host, "bot")["Config"]["Image"]
    play("site.yml", {"application_source_directory": str(source)}).expect_success()
    assert changed(before, started(host)) == ["collector", "bot", "dashboard"]
    assert inspect(host, "bot")["Config"]["Image"] != release
    play("site.yml").expect_success()
    assert inspect(host, "bot")["Config"]["Image"] == release, "the same source is the same release"


def broken_source(directory: Path, line: str) -> Path:
    """A copy of the sample application whose bot is built with one line more."""
    source = directory / "app"
    subprocess.run(["cp", "--recursive", str(CHECKOUT / "tests" / "sample_app"), str(source)], check=True)
    dockerfile = source / "deploy" / "docker" / "bot.Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + f"\n{line}\n")
    return source


def test_a_stopped_service_is_brought_back(host: Host, play: Play) -> None:
    host.check_output("docker stop coinpilot-dashboard")
    before = started(host)
    play("site.yml").expect_success()
    assert_all_healthy(host)
    assert changed(before, started(host)) == ["dashboard"]


def test_a_file_edited_by_hand_is_put_right(host: Host, play: Play) -> None:
    files, before = checksums(host), started(host)
    host.check_output(f"sed -i 's/127.0.0.1:3000/0.0.0.0:3000/' {OURS[0]}")
    shown = play("site.yml", {}, "--check", "--diff").expect_success()
    assert "0.0.0.0:3000" in shown.output and checksums(host) != files
    play("site.yml").expect_success()
    assert (checksums(host), started(host)) == (files, before)


def site(inventory: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(CHECKOUT / "site.yml")]


@pytest.mark.usefixtures("restored")
def test_a_run_cut_off_in_the_middle_is_finished_by_the_next(host: Host, inventory: Path) -> None:
    log = "/var/log/coinpilot/deploy.log"
    seen = int(host.check_output(f"grep -c 'deploy: release' {log}"))
    command = [*site(inventory), "-e", '{"stack_settings": {"LLM_MODE": "cut"}}']
    run = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}, start_new_session=True)
    deadline = time.monotonic() + 300
    while int(host.check_output(f"grep -c 'deploy: release' {log}")) == seen:
        assert time.monotonic() < deadline and run.poll() is None, "the run never came to its deploy"
        time.sleep(0.2)
    os.killpg(run.pid, signal.SIGKILL)  # the control machine is gone, and with it the connection
    run.wait()

    again = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout[-4000:]
    assert_all_healthy(host)
    assert "LLM_MODE=cut" in host.check_output("docker exec coinpilot-bot env")


def test_two_runs_at_once_do_not_get_in_each_others_way(host: Host, inventory: Path) -> None:
    host.check_output("docker stop coinpilot-dashboard")
    runs = [subprocess.Popen(site(inventory), cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(output[-3000:] for output in outputs)
    assert_all_healthy(host)
