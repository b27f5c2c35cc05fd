"""What breaks on the provisioned host, and how it is mended: the steps that the table of faults is made of."""

from __future__ import annotations

import base64
import functools
import json
import shlex
import time
from collections.abc import Callable
from typing import Any

from checks_on_host import Checked, Do
from discord_on_host import CONTAINER
from n8n_on_host import Editor
from stack_on_host import DIRECTORY, query

KEPT = "/run/coinpilot-faults"
ENV, COMPOSE_FILE = f"{DIRECTORY}/.env", f"{DIRECTORY}/docker-compose.prod.yml"
PROMETHEUS_FILE = f"{DIRECTORY}/monitoring/prometheus/prometheus.yml"
ALERTING = f"{DIRECTORY}/monitoring/grafana/provisioning/alerting"
RULES_FILE, CONTACT_POINTS = f"{ALERTING}/rules.yml", f"{ALERTING}/contact-points.yml"
POLICIES = f"{ALERTING}/policies.yml"
CRON, SCRIPTS = "/etc/cron.d/coinpilot-backup", "/opt/coin-pilot/scripts/backup"
STATE = "/var/lib/coinpilot"
# All that happens to backups happens to those of Redis.
BACKUPS = "/var/backups/coinpilot/redis"
NEWEST = f"$(ls {BACKUPS}/daily/*.tar.zst | tail -n 1)"
RISK = "coinpilotRisk001"
HANG_UP = "docker kill --signal HUP coinpilot-prometheus"


def sh(*commands: str) -> Do:
    """Commands of the host's shell, one after the other."""
    return lambda checked: checked.run(" && ".join(commands))


# Takes a container away and makes it again as it was, but for the texts that are given; with none, as it was at first.
_REMAKE = '''
import http.client, json, os, socket, sys
class Docker(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/docker.sock")
def ask(method, path, body=None):
    docker = Docker("docker", timeout=60)
    docker.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
    answer = docker.getresponse()
    text = answer.read().decode()
    if answer.status >= 400:
        sys.exit(text)
    return json.loads(text) if text else {}
kept, name, changes = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if not os.path.exists(kept):
    shown = ask("GET", "/containers/%s/json" % name)
    body = dict(shown["Config"], HostConfig=shown["HostConfig"])
    del body["Hostname"]
    networks = {net: {"Aliases": [alias for alias in end["Aliases"] if alias != shown["Config"]["Hostname"]]}
                for net, end in shown["NetworkSettings"]["Networks"].items()}
    with open(kept, "w") as file:
        json.dump(dict(body, NetworkingConfig={"EndpointsConfig": networks}), file)
text = open(kept).read()
for old, new in changes.items():
    if old not in text:
        sys.exit("%s is not in the container" % old)
    text = text.replace(old, new)
old = [each["Id"] for each in ask("GET", "/containers/json?all=1") if "/" + name in each["Names"]]
for ident in old:
    ask("DELETE", "/containers/%s?force=1" % ident)
made = ask("POST", "/containers/create?name=%s" % name, json.loads(text))["Id"]
ask("POST", "/containers/%s/start" % made)
if not changes:
    os.remove(kept)
'''


def remade(service: str, changes: dict[str, str] | None = None) -> Do:
    """A service's container with these texts of its definition replaced; without changes, as it was before."""
    command = ["python3", "-c", _REMAKE, f"{KEPT}/{service}.json", f"coinpilot-{service}", json.dumps(changes or {})]
    return sh(f"mkdir -p {KEPT}", shlex.join(command))


def keep(path: str) -> str:
    return f"mkdir -p {KEPT} && cp -p {path} {KEPT}/$(basename {path})"


def edited(path: str, *expressions: str, after: str = "true") -> Do:
    """A file changed by sed in place, as containers have it mounted."""
    given = " ".join(f"-e {shlex.quote(expression)}" for expression in expressions)
    return sh(keep(path), f"sed {given} {KEPT}/$(basename {path}) > {path}",
              f"! cmp -s {path} {KEPT}/$(basename {path})", after)


def put_back(path: str, after: str = "true", reload: bool = False) -> Do:
    def do(checked: Checked) -> None:
        checked.run(f"cat {KEPT}/$(basename {path}) > {path} && rm {KEPT}/$(basename {path}) && {after}")
        if reload:
            reload_grafana(checked)

    return do


def kernel(path: str, *expressions: str) -> Do:
    """A file of the kernel's, as it would be."""
    given = " ".join(f"-e {shlex.quote(expression)}" for expression in expressions)
    played = f"{KEPT}/played"
    return sh(f"mkdir -p {KEPT} && sed {given} {path} > {played} && mount --bind {played} {path}")


def kernel_back(path: str) -> Do:
    return sh(f"umount {path}")


def removed(service: str) -> Do:
    """A service's container taken away, so that `remade` can make it again."""
    return both(remade(service, {"coinpilot": "coinpilot"}), sh(f"docker rm --force coinpilot-{service}"))


def both(*steps: Do) -> Do:
    def do(checked: Checked) -> None:
        for step in steps:
            step(checked)

    return do


def application(service: str, faults: str = "") -> Do:
    """README.md of the sample application says what they do; none ends them."""
    key = f"sample:fault:{service}"
    return sh(shlex.join(["docker", "exec", "coinpilot-redis", "redis-cli",
                          *(["set", key, faults] if faults else ["del", key])]))


def healthy(*services: str, seconds: int = 300) -> Do:
    """Waits until they are."""
    return sh(*(f"timeout {seconds} sh -c 'until [ \"$(docker inspect -f {{{{.State.Health.Status}}}} "
                f"coinpilot-{service})\" = healthy ]; do sleep 0.5; done'" for service in services))


# The tests' own container is not started again by Docker.
ALL_BUT_DASHBOARD = both(sh(f"docker start {CONTAINER}"), healthy(
    "db", "redis", "collector", "bot", "n8n", "prometheus", "grafana"))
ALL_HEALTHY = both(ALL_BUT_DASHBOARD, healthy("dashboard"))


def sql(statement: str) -> Do:
    return lambda checked: query(checked.host, statement)


def rules_changed(change: Callable[[dict[str, Any], dict[str, Any]], object], name: str) -> Do:
    """Grafana's file changed by hand: ``change(group, rule)`` for the rule of this name."""
    def do(checked: Checked) -> None:
        checked.run(f"[ -e {KEPT}/$(basename {RULES_FILE}) ] || {{ {keep(RULES_FILE)}; }}")
        file = json.loads(checked.host.file(RULES_FILE).content_string)
        for group in file["groups"]:
            for rule in [rule for rule in group["rules"] if rule["title"] == name]:
                change(group, rule)
                if rule not in group["rules"]:
                    file["deleteRules"].append({"orgId": 1, "uid": rule["uid"]})
        write(checked, RULES_FILE, json.dumps(file, ensure_ascii=False, indent=2))

    return do


def write(checked: Checked, path: str, text: str) -> None:
    """In place, as containers have it mounted."""
    checked.run(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d > {path}")


def reload_grafana(checked: Checked) -> None:
    checked.grafana("/api/admin/provisioning/alerting/reload")


_AGE = """
import glob, os, re, time
then = time.gmtime(time.time() - 10 * 86400)
for path in glob.glob("*/*"):
    new = re.sub("_[0-9]{8}T", time.strftime("_%Y%m%dT", then), path)
    if path.endswith((".json", ".sha256")):
        text = re.sub("_[0-9]{8}T", time.strftime("_%Y%m%dT", then), open(path).read())
        open(path, "w").write(re.sub("(_at.: .)[0-9-]{10}T", time.strftime("\\\\g<1>%Y-%m-%dT", then), text))
    os.rename(path, new)
"""


@functools.cache
def editor(checked: Checked) -> Editor:
    """Logged in once: n8n refuses the sixth login within five minutes."""
    return Editor(checked.host, checked.secrets["N8N_OWNER_EMAIL"], checked.secrets["N8N_OWNER_PASSWORD"])


def unguarded(checked: Checked) -> None:
    edit = editor(checked)
    workflow = edit.ask("GET", f"/workflows/{RISK}")
    hook = next(node for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.webhook")
    edit.save(RISK, hook["name"], parameters={key: value for key, value in hook["parameters"].items()
                                              if key != "authentication"})


def guarded(checked: Checked) -> None:
    edit = editor(checked)
    workflow = edit.ask("GET", f"/workflows/{RISK}")
    hook = next(node for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.webhook")
    edit.save(RISK, hook["name"], parameters={**hook["parameters"], "authentication": "headerAuth"})


def secret(checked: Checked, value: str) -> None:
    """n8n's credential of the webhooks holds this one."""
    edit = editor(checked)
    workflow = edit.ask("GET", f"/workflows/{RISK}")
    hook = next(node for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.webhook")
    used = hook["credentials"]["httpHeaderAuth"]
    edit.ask("PATCH", f"/credentials/{used['id']}", {"id": used["id"], "name": used["name"], "type": "httpHeaderAuth",
                                                     "data": {"name": "x-webhook-secret", "value": value}})


def silence(checked: Checked) -> None:
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + hours * 3600)) for hours in (-1, 1))
    checked.grafana("/api/alertmanager/grafana/api/v2/silences", {
        "matchers": [{"name": "alertname", "value": ".+", "isRegex": True, "isEqual": True}], "startsAt": begin,
        "endsAt": end, "comment": "works", "createdBy": "test"})


def no_silence(checked: Checked) -> None:
    for each in checked.grafana("/api/alertmanager/grafana/api/v2/silences", method="GET"):
        if each["status"]["state"] == "active":
            checked.grafana(f"/api/alertmanager/grafana/api/v2/silence/{each['id']}", method="DELETE")


def kept_backup(checked: Checked) -> None:
    checked.run(f"mkdir -p {KEPT} && rm -rf {KEPT}/redis && cp -a {BACKUPS} {KEPT}/redis")


def put_back_backup(checked: Checked) -> None:
    checked.run(f"rm -rf {BACKUPS} && mv {KEPT}/redis {BACKUPS}")


def aged(checked: Checked) -> None:
    """The only backup becomes one of ten days ago: in its name, its manifest and its sidecar."""
    kept_backup(checked)
    checked.run(f"cd {BACKUPS} && python3 -c {shlex.quote(_AGE)}")


def out_of_memory(checked: Checked) -> None:
    """The kernel's part is played: a container on this machine may have no limit. Docker reads its record anew."""
    where = checked.run("docker inspect --format '{{.Id}}' coinpilot-dashboard").strip()
    checked.run(f"systemctl stop docker.socket docker && sed -i 's/\"OOMKilled\":false/\"OOMKilled\":true/' "
                f"/var/lib/docker/containers/{where}/config.v2.json && systemctl start docker")


def container(name: str, service: str, project: str = "oci") -> Do:
    """One more, as Compose would label it."""
    labels = {"project": project, "service": service, "config-hash": "x", "container-number": "2",
              "project.working_dir": DIRECTORY}
    given = " ".join(f"--label com.docker.compose.{key}={value}" for key, value in labels.items())
    return sh(f"docker run --detach --name {name} {given} --entrypoint sleep python:3.12-slim infinity")


def targets(expression: str) -> Do:
    return edited(PROMETHEUS_FILE, expression, after=HANG_UP)


def scraped(query: str) -> Do:
    """Waits until Prometheus has it so."""
    ask = shlex.join(["curl", "-sS", "-G", "--data-urlencode", f"query={query}", "http://127.0.0.1:9090/api/v1/query"])
    return sh("timeout 300 sh -c " + shlex.quote(f"until {ask} | grep -q metric; do sleep 1; done"))
