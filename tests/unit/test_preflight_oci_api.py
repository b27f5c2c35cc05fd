"""The real OCI SDK against a local HTTP server that speaks the API as far as it is used here and takes no request that
is not signed. It is a double: it does not prove that OCI's own answers look like its own."""

from __future__ import annotations

import base64
import datetime
import email.utils
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import findings, preflight_oci, preflight_oci_run
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TENANCY, USER, FINGERPRINT = "ocid1.tenancy.oc1..t", "ocid1.user.oc1..u", ":".join(["ab"] * 16)
INSTANCE, COMPARTMENT, PASS_PHRASE = "ocid1.instance.oc1.ap-seoul-1.i", "ocid1.compartment.oc1..c", "letmein"
POLICY: dict[str, Any] = {"public_ports": [], "waivers": []}
SUNDAY = datetime.datetime(2026, 11, 22, 3, tzinfo=datetime.timezone.utc)
CORE, BUDGETS, QUOTAS, LIMITS = "/20160918", "/20190111/budgets", "/20181025/quotas", "/20190729/limitValues"


def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return key()


def rule(source: str, port: int | None = None, protocol: str = "6", **more: Any) -> dict[str, Any]:
    options = {"destinationPortRange": {"min": port, "max": port}} if port else None
    return {"source": source, "sourceType": "CIDR_BLOCK", "protocol": protocol, "isStateless": False,
            "tcpOptions": options, **more}


def answers() -> dict[str, Any]:
    """What the server answers, by path: a thing, a list, or a list of pages."""
    group_rules = [rule("203.0.113.7/32", 22, direction="INGRESS", id="1", isValid=True)]
    return {
        f"{CORE}/instances/{INSTANCE}": {"id": INSTANCE, "compartmentId": COMPARTMENT, "lifecycleState": "RUNNING"},
        f"{CORE}/vnicAttachments": [
            [{"id": "a1", "vnicId": "v1", "lifecycleState": "ATTACHED"}],
            [{"id": "a2", "vnicId": "v2", "lifecycleState": "ATTACHED"},
             {"id": "a0", "vnicId": "gone", "lifecycleState": "DETACHED"}]],
        f"{CORE}/vnics/v1": {"id": "v1", "subnetId": "s1", "nsgIds": ["n1"], "publicIp": "203.0.113.10"},
        f"{CORE}/vnics/v2": {"id": "v2", "subnetId": "s2", "nsgIds": ["n1"]},
        f"{CORE}/subnets/s1": {"id": "s1", "securityListIds": ["l1"]},
        f"{CORE}/subnets/s2": {"id": "s2", "securityListIds": ["l1", "l2"]},
        f"{CORE}/securityLists/l1": {"id": "l1", "displayName": "Default Security List", "ingressSecurityRules": [
            rule("0.0.0.0/0", protocol="1", icmpOptions={"type": 3, "code": 4})]},
        f"{CORE}/securityLists/l2": {"id": "l2", "displayName": "Second", "ingressSecurityRules": []},
        f"{CORE}/networkSecurityGroups/n1": {"id": "n1", "displayName": "web-nsg"},
        f"{CORE}/networkSecurityGroups/n1/securityRules": [group_rules, []],
        BUDGETS: [[{"id": "b1", "displayName": "monthly", "amount": 10.0, "resetPeriod": "MONTHLY",
                    "targetType": "COMPARTMENT", "targets": [COMPARTMENT], "actualSpend": 1.5}], []],
        f"{BUDGETS}/b1/alertRules": [[{"id": "r1", "displayName": "80 percent", "threshold": 80.0,
                                       "thresholdType": "PERCENTAGE", "recipients": "someone@example.com"}]],
        QUOTAS: [[{"id": "q1", "name": "free"}]],
        f"{QUOTAS}/q1": {"id": "q1", "name": "free", "statements": ["zero compute-core quotas in tenancy"]},
        LIMITS: [[{"name": "standard-a1-core-count", "scopeType": "AD", "availabilityDomain": "AD-1", "value": 4}],
                 [{"name": "standard-a1-memory-count", "scopeType": "AD", "availabilityDomain": "AD-1", "value": 24}]],
    }


class Api(ThreadingHTTPServer):
    """The server: what it answers, what it was asked, and how it misbehaves (path -> statuses, one a request)."""

    daemon_threads = True

    def __init__(self, public_key: rsa.RSAPublicKey):
        super().__init__(("127.0.0.1", 0), Handler)
        self.public_key = public_key
        self.answers = answers()
        self.asked: list[str] = []
        self.unsigned: list[str] = []
        self.faults: dict[str, list[int]] = {}
        self.raw: dict[str, bytes] = {}
        self.delay: dict[str, float] = {}
        self.endless = ""

    @property
    def url(self) -> str:
        return "http://127.0.0.1:%d" % self.server_address[1]


class Handler(BaseHTTPRequestHandler):
    server: Api
    # An answer goes out in one piece, and the connection stays.
    wbufsize, protocol_version = -1, "HTTP/1.1"

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        query = parse_qs(split.query)
        self.server.asked.append(self.path)
        threading.Event().wait(self.server.delay.get(split.path, 0))
        problem = self.signature_problem()
        faults = self.server.faults.get(split.path, [])
        if problem:
            self.server.unsigned.append(problem)
            self.answer(401, {"code": "NotAuthenticated", "message": problem})
        elif faults:
            status = faults.pop(0) if len(faults) > 1 else faults[0]
            code = {404: "NotAuthorizedOrNotFound", 429: "TooManyRequests", 500: "InternalError"}.get(status, "Odd")
            if status == 200:
                del self.server.faults[split.path]
                self.serve(split.path, query)
            else:
                self.answer(status, {"code": code, "message": "as the test wants it"})
        elif split.path in self.server.raw:
            self.answer_raw(200, self.server.raw[split.path], {})
        else:
            self.serve(split.path, query)

    def serve(self, path: str, query: dict[str, list[str]]) -> None:
        held = self.server.answers.get(path)
        if held is None:
            self.answer(404, {"code": "NotAuthorizedOrNotFound", "message": "no such thing"})
        elif isinstance(held, dict):
            self.answer(200, held)
        else:
            page = int(query.get("page", ["0"])[0])
            more = page + 1 < len(held) or path == self.server.endless
            self.answer(200, held[min(page, len(held) - 1)], {"opc-next-page": str(page + 1)} if more else {})

    def signature_problem(self) -> str:
        """What is wrong with the signature, as draft-cavage-http-signatures-08 with OCI's wants has it."""
        parts = dict(re.findall(r'(\w+)="([^"]*)"', self.headers.get("Authorization", "")))
        if parts.get("keyId") != f"{TENANCY}/{USER}/{FINGERPRINT}" or parts.get("algorithm") != "rsa-sha256":
            return "no signature by this key"
        names = parts["headers"].split()
        if not {"date", "(request-target)", "host"} <= set(names):
            return "date, request-target and host must be signed"
        sent = email.utils.parsedate_to_datetime(self.headers["date"])
        if abs((datetime.datetime.now(datetime.timezone.utc) - sent).total_seconds()) > 300:
            return "the date is too far off"
        lines = ["%s: %s" % (name, "get " + self.path if name == "(request-target)" else self.headers[name])
                 for name in names]
        try:
            self.server.public_key.verify(base64.b64decode(parts["signature"]), "\n".join(lines).encode(),
                                          padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return "the signature is wrong"
        return ""

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.answer_raw(status, json.dumps(body).encode(), headers or {})

    def answer_raw(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json",
                                "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # Who asked has stopped waiting.
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


@pytest.fixture
def api(private_key: rsa.RSAPrivateKey) -> Iterator[Api]:
    with Api(private_key.public_key()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK waits for seconds between its tries."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def pem(private_key: rsa.RSAPrivateKey, encryption: serialization.KeySerializationEncryption) -> str:
    return private_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                     encryption).decode()


class Look:
    """One control machine: its key and its record."""

    def __init__(self, api: Api, private_key: rsa.RSAPrivateKey, directory: Path):
        self.api, self.path = api, directory / "oci.json"
        self.pem = pem(private_key, serialization.NoEncryption())

    def run(self, record: bool = True, days: int = 0, endpoint: str = "", timeout: float = 5,
            **changed: str) -> list[findings.Finding]:
        credentials = {"tenancy": TENANCY, "user": USER, "fingerprint": FINGERPRINT, "region": "ap-seoul-1",
                       "key_content": self.pem, **changed}
        wish = preflight_oci_run.Wish(INSTANCE, str(self.path), "/nonexistent", "DEFAULT", credentials, 22, timeout)
        found = preflight_oci_run.run(wish, POLICY, record, endpoint or self.api.url,
                                      SUNDAY + datetime.timedelta(days=days))
        shown = findings.render_json(found) + findings.render_text(found, "ko")
        assert PASS_PHRASE not in shown and "PRIVATE KEY" not in shown and self.pem[60:90] not in shown
        return found


@pytest.fixture
def look(api: Api, private_key: rsa.RSAPrivateKey, tmp_path: Path) -> Look:
    return Look(api, private_key, tmp_path)


def statuses(found: list[findings.Finding]) -> dict[str, str]:
    return {name: findings.worst(finding for finding in found if finding.id == name)
            for name in {finding.id for finding in found}}


GOOD = {"oci-access": "PASS", "oci-ssh-source": "PASS", "oci-open": "PASS"}


def test_a_sound_instance(api: Api, look: Look) -> None:
    assert statuses(look.run()) == {**GOOD, "oci-changed": "WARN"}, "the first time there is nothing to compare with"
    assert statuses(look.run(days=7)) == {**GOOD, "oci-changed": "PASS"}
    assert api.unsigned == []
    asked = {urlsplit(path).path for path in api.asked}
    assert asked == set(api.answers), "everything is read, what is detached is not"
    assert all("targetType=ALL" in path for path in api.asked if urlsplit(path).path == BUDGETS)
    assert all("direction=INGRESS" in path for path in api.asked if path.endswith("securityRules"))


def test_a_profile_whose_key_has_a_passphrase(api: Api, look: Look, private_key: rsa.RSAPrivateKey,
                                              tmp_path: Path) -> None:
    locked = serialization.BestAvailableEncryption(PASS_PHRASE.encode())
    (tmp_path / "key.pem").write_text(pem(private_key, locked), encoding="utf-8")
    (tmp_path / "config").write_text(
        f"[OPS]\ntenancy={TENANCY}\nuser={USER}\nfingerprint={FINGERPRINT}\nregion=ap-seoul-1\n"
        f"key_file={tmp_path}/key.pem\npass_phrase={PASS_PHRASE}\n", encoding="utf-8")
    wish = preflight_oci_run.Wish(INSTANCE, str(look.path), str(tmp_path / "config"), "OPS")
    assert statuses(preflight_oci_run.run(wish, POLICY, False, api.url)) == {**GOOD, "oci-changed": "WARN"}
    assert api.unsigned == [] and not look.path.exists()
    [refused] = look.run(key_content=pem(private_key, locked), pass_phrase="opensesame")
    assert refused.status == findings.UNKNOWN and "opensesame" not in findings.render_json([refused])


@pytest.mark.parametrize(("path", "bad", "expected"), [
    ("securityLists/l1", rule("0.0.0.0/0", 22), {"oci-ssh-source": "FAIL"}),
    ("securityLists/l2", rule("0.0.0.0/0", 5432), {"oci-open": "FAIL"}),
    ("securityLists/l2", rule("::/0", None), {"oci-open": "FAIL", "oci-ssh-source": "FAIL"}),
    ("securityLists/l1", rule("0.0.0.0/0", None, "all"), {"oci-open": "FAIL", "oci-ssh-source": "FAIL"}),
    ("securityLists/l1", rule("0.0.0.0/0", None, "17", udpOptions={"destinationPortRange": {"min": 53, "max": 53}}),
     {"oci-open": "FAIL"}),
    ("securityLists/l1", rule("0.0.0.0/0", 443), {"oci-open": "WARN"}),
    ("networkSecurityGroups/n1/securityRules", rule("0.0.0.0/0", 3000, direction="INGRESS", id="2"),
     {"oci-open": "FAIL"}),
    ("networkSecurityGroups/n1/securityRules", rule("0.0.0.0/0", 3000, direction="INGRESS", id="2", isValid=False), {}),
    ("networkSecurityGroups/n1/securityRules",
     rule("n1", 3000, direction="INGRESS", id="2", sourceType="NETWORK_SECURITY_GROUP"), {"oci-open": "WARN"}),
])
def test_a_bad_rule_in_any_list_of_any_interface(path: str, bad: dict[str, Any], expected: dict[str, str], api: Api,
                                                 look: Look) -> None:
    held = api.answers[f"{CORE}/{path}"]
    # The last page, where there are some.
    (held["ingressSecurityRules"] if isinstance(held, dict) else held[-1]).append(bad)
    assert statuses(look.run()) == {**GOOD, "oci-changed": "WARN", **expected}


def test_what_changed_within_a_week(api: Api, look: Look) -> None:
    look.run()
    api.answers[BUDGETS][0][0]["amount"] = 90.0
    api.answers[f"{BUDGETS}/b1/alertRules"][0][0]["recipients"] = "other@example.com"
    api.answers[f"{QUOTAS}/q1"]["statements"] = []
    api.answers[LIMITS][1][0]["value"] = 0
    api.answers[f"{CORE}/securityLists/l2"]["ingressSecurityRules"].append(rule("203.0.113.8/32", 22))
    changed = {finding.subject: finding.seen.en for finding in look.run(days=7) if finding.id == "oci-changed"}
    assert set(changed) == {"rules", "budgets", "quotas", "limits"}
    assert "amount=10.0" in changed["budgets"] and "amount=90.0" in changed["budgets"]
    assert "monthly / 80 percent" in changed["budgets"] and "recipients" in changed["budgets"]
    assert "standard-a1-memory-count AD-1: 24 -> 0" in changed["limits"]
    assert "+ Second: TCP 22 from 203.0.113.8/32" in changed["rules"]
    held = look.path.read_text(encoding="utf-8")
    assert "example.com" not in held and "1.5" not in held, "neither addresses nor what was spent is recorded"
    assert "example.com" not in str(changed)
    assert statuses(look.run(days=14)) == {**GOOD, "oci-changed": "PASS"}


def test_nothing_is_recorded_in_check_mode(look: Look) -> None:
    look.run(record=False)
    assert not look.path.exists()


def test_a_broken_record_is_unknown_and_is_kept(look: Look) -> None:
    look.path.write_text("{", encoding="utf-8")
    assert statuses(look.run()) == {**GOOD, "oci-changed": "UNKNOWN"}
    assert look.path.read_text(encoding="utf-8") == "{"


NOT_NETWORK = (BUDGETS, f"{BUDGETS}/b1/alertRules", QUOTAS, f"{QUOTAS}/q1", LIMITS)


@pytest.mark.parametrize(("path", "status"), [
    *((path, 404) for path in sorted(answers())), (f"{CORE}/vnics/v1", 403), (f"{CORE}/securityLists/l1", 429),
    (f"{CORE}/instances/{INSTANCE}", 500), (LIMITS, 500),
])
def test_what_cannot_be_read_is_unknown(path: str, status: int, api: Api, look: Look) -> None:
    look.run()
    api.faults[path] = [status]
    found = statuses(look.run(days=7))
    assert found["oci-access"] == "UNKNOWN" and found.get("oci-changed") != "PASS"
    assert ("oci-open" in found) == ("oci-ssh-source" in found) == (path in NOT_NETWORK), "no PASS on half of the rules"


@pytest.mark.parametrize(("path", "says"), [
    (f"{CORE}/instances/{INSTANCE}", "read instances"), (f"{CORE}/vnics/v2", "read virtual-network-family"),
    (BUDGETS, "read usage-budgets"), (QUOTAS, "read quotas"), (LIMITS, "inspect resource-availability"),
])
def test_the_statement_that_is_missing_is_named(path: str, says: str, api: Api, look: Look) -> None:
    api.faults[path] = [404]
    [access] = [finding for finding in look.run() if finding.id == "oci-access"]
    assert says in access.fix.en and says in access.fix.ko


def test_when_oci_is_busy_it_is_asked_again(api: Api, look: Look) -> None:
    api.faults[f"{CORE}/vnics/v1"] = [429, 500, 200]
    api.faults[LIMITS] = [503, 200]
    assert statuses(look.run())["oci-access"] == "PASS"


def test_another_key_is_not_taken(api: Api, tmp_path: Path) -> None:
    found = Look(api, key(), tmp_path).run()
    assert statuses(found) == {"oci-access": "UNKNOWN"} and "API keys" in found[0].line("en")
    assert len(api.asked) == 1, "once is enough to know"
    assert api.unsigned == ["the signature is wrong"]


def test_another_user_is_not_taken(api: Api, look: Look) -> None:
    assert statuses(look.run(user="ocid1.user.oc1..other")) == {"oci-access": "UNKNOWN"}
    assert api.unsigned == ["no signature by this key"]


def test_no_network(look: Look) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = "http://127.0.0.1:%d" % unused.getsockname()[1]
    assert statuses(look.run(endpoint=nowhere)) == {"oci-access": "UNKNOWN"}
    assert statuses(look.run(endpoint="http://no-such-host.invalid")) == {"oci-access": "UNKNOWN"}


def test_an_answer_that_does_not_come(api: Api, look: Look) -> None:
    api.delay[f"{CORE}/subnets/s1"] = 1
    found = statuses(look.run(timeout=0.2))
    assert found["oci-access"] == "UNKNOWN" and "oci-open" not in found


@pytest.mark.parametrize("body", [b"", b"<html>proxy</html>", b"[null]", b"{}"])
@pytest.mark.parametrize("path", sorted(answers()))
def test_an_answer_that_makes_no_sense(path: str, body: bytes, api: Api, look: Look) -> None:
    api.raw[path] = body
    found = statuses(look.run())
    assert found["oci-access"] == "UNKNOWN"
    assert ("oci-open" in found) == ("oci-ssh-source" in found) == (path in NOT_NETWORK)


def test_a_list_without_an_end(api: Api, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_oci, "PAGES", 5)
    api.endless = f"{CORE}/networkSecurityGroups/n1/securityRules"
    found = statuses(look.run())
    assert found["oci-access"] == "UNKNOWN" and "oci-open" not in found
