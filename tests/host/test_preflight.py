"""The preflight as it is met: before a deploy, after it, by the runbook's script, and from outside."""

from __future__ import annotations

import json

from stack_on_host import DIRECTORY, Play, ops, started
from testinfra.host import Host

SCRIPT = "/opt/coin-pilot/scripts/security/preflight_security_check.sh"
ENV = f"{DIRECTORY}/.env"
COMPOSE = f"{DIRECTORY}/docker-compose.prod.yml"
ANONYMOUS = {"stack_service_overrides": {"grafana": {"environment": {"GF_AUTH_ANONYMOUS_ENABLED": "true"}}}}


def last_line(text: str) -> str:
    return text.rstrip("\n").rpartition("\n")[2]


def test_what_is_not_safe_is_not_brought_up_and_what_runs_stays(host: Host, play: Play) -> None:
    before, files = started(host), host.check_output(f"sha256sum {ENV} {COMPOSE}")
    refused = play("site.yml", ANONYMOUS).expect_failure()
    assert "The new files are not safe; nothing was changed" in refused.output
    assert "GF_AUTH_ANONYMOUS_ENABLED" in refused.output
    assert (started(host), host.check_output(f"sha256sum {ENV} {COMPOSE}")) == (before, files)


def test_a_policy_that_cannot_be_used_is_refused_before_anything_changes(play: Play) -> None:
    waiver = {"rule": "compose-capdrop", "service": "bot", "reason": "a test", "expires": "2999-12-31"}
    refused = play("site.yml", {"stack_security": {"public_ports": [], "waivers": [waiver]}}).expect_failure()
    assert "unknown rule compose-capdrop" in refused.output
    assert refused.changed == 0


def test_the_runbooks_script_without_sudo(person: Host) -> None:
    done = person.run(f"{SCRIPT} {ENV}")
    assert (done.rc, last_line(done.stdout)) == (0, "[RESULT] PASSED")


def test_a_missing_env_file_is_a_failure_and_the_last_line_says_so(person: Host) -> None:
    done = person.run(f"{SCRIPT} {ENV}.missing")
    assert done.rc == 1
    assert last_line(done.stdout).startswith("[RESULT] FAILED (")


def test_wrong_usage_ends_in_the_same_line(person: Host) -> None:
    done = person.run(f"{SCRIPT} --no-such-option")
    assert (done.rc, last_line(done.stdout)) == (2, "[RESULT] FAILED (1 issues)")


def test_a_broken_description_ends_in_the_same_line(host: Host) -> None:
    done = host.run("coinpilot-ops preflight --description /nonexistent")
    assert (done.rc, last_line(done.stdout)) == (2, "[RESULT] FAILED (1 issues)")


def test_any_project_is_judged_by_anyone_with_nothing_running(person: Host) -> None:
    compose = "services: {web: {image: 'nginx:latest', ports: ['8080:80'], privileged: true}}"
    person.check_output(f"d=$(mktemp -d) && echo \"{compose}\" > $d/compose.yml && install -m 600 /dev/null $d/.env && "
                        "rm -rf /tmp/judged && mv $d /tmp/judged")
    done = person.run("coinpilot-ops preflight --compose /tmp/judged/compose.yml --format json; rm -r /tmp/judged")
    report = json.loads(done.stdout)
    failed = {finding["id"]: finding for finding in report["findings"] if finding["status"] == "FAIL"}
    assert {"compose-port-public", "compose-privileged", "compose-image-unpinned"} <= set(failed)
    assert failed["compose-privileged"]["service"] == "web"
    assert failed["compose-privileged"]["file"].endswith("compose.yml")
    assert failed["compose-privileged"]["line"] == 1
    assert report["result"].startswith("[RESULT] FAILED (")


def test_no_secret_is_said(host: Host, secrets: dict[str, str]) -> None:
    said = host.run("coinpilot-ops preflight").stdout + json.dumps(ops(host, "preflight")[1], ensure_ascii=False)
    assert [key for key, value in secrets.items() if len(value) > 8 and value in said] == []


def test_a_waiver_holds_until_its_day(host: Host) -> None:
    host.check_output(f"cp -a {COMPOSE} {COMPOSE}.good && sed -i 's/cap_drop: .ALL./cap_drop: []/' {COMPOSE}")
    try:
        code, report = ops(host, "preflight")
        services = {finding["service"] for finding in report["findings"]
                    if (finding["id"], finding["status"]) == ("compose-cap-drop", "FAIL")}
        assert code == 1 and "bot" in services
        for expires, status in (("2999-12-31", "WARN"), ("2001-01-01", "FAIL")):
            waivers = [{"rule": "compose-cap-drop", "service": name, "reason": "a test", "expires": expires}
                       for name in services]
            host.check_output(f"echo '{json.dumps({'waivers': waivers})}' > /tmp/policy.json")
            code, report = ops(host, "preflight --policy /tmp/policy.json")
            assert {finding["status"] for finding in report["findings"]
                    if finding["id"] == "compose-cap-drop"} == {status}
    finally:
        host.check_output(f"mv {COMPOSE}.good {COMPOSE}; rm -f /tmp/policy.json")


def test_the_playbook_says_where_it_stands(play: Play) -> None:
    assert "[RESULT] PASSED" in play("playbooks/preflight.yml").expect_success().output
    from_here = play("playbooks/preflight.yml", {"security_preflight_outside": True}).expect_failure()
    assert "UNKNOWN" in from_here.output and "127.0.0.1" in from_here.output
