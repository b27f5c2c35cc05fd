# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What is said of notifications, and what to do about a delivery that failed."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence, Tuple

from . import grafana_api
from .findings import FAIL, PASS, UNKNOWN, WARN, Case, Finding, Rule, Text, table
from .http_json import masked

# Not a name that a contact point made by hand has: Grafana would make one of the two, and tell everything twice.
NAME = "discord (managed)"

_SET_WEBHOOK = Text("put DISCORD_WEBHOOK_URL into the vault (Discord: Server settings > Integrations > Webhooks) and "
                    "deploy: ansible-playbook site.yml",
                    "Vault에 DISCORD_WEBHOOK_URL을 넣고(Discord: 서버 설정 > 연동 > 웹후크) 배포하세요: "
                    "ansible-playbook site.yml")
_READ_AGAIN = Text("Grafana reads its files when it starts: docker restart {container}; if it stays: "
                   "ansible-playbook site.yml",
                   "Grafana는 시작할 때 파일을 읽습니다: docker restart {container}; 그대로라면: "
                   "ansible-playbook site.yml")
_HINT = Text("{hint}", "{hint}")

# What to do about a delivery that failed, by what is said of it.
_HINTS: Sequence[Tuple[re.Pattern, Text]] = (
    (re.compile(r"\b(401|403|404)\b|unknown webhook|invalid webhook", re.IGNORECASE),
     Text("Discord does not know the webhook (any more): make a new one, put it into the vault as "
          "DISCORD_WEBHOOK_URL and deploy: ansible-playbook site.yml",
          "Discord에 이 웹후크가 없거나 삭제됨: 새로 만들어 Vault의 DISCORD_WEBHOOK_URL에 넣고 배포하세요: "
          "ansible-playbook site.yml")),
    (re.compile(r"\b429\b|rate.?limit", re.IGNORECASE),
     Text("Discord takes no more messages for a while; Grafana tries again by itself. Does something else post to "
          "this webhook?",
          "Discord가 잠시 메시지를 받지 않습니다. Grafana가 다시 시도합니다. 같은 웹후크를 쓰는 다른 것이 있나요?")),
    (re.compile(r"timeout|deadline|no such host|not known|refused|unreachable|reset|eof|lookup|dial tcp",
                re.IGNORECASE),
     Text("does the host reach Discord? curl -sS -o /dev/null -w '%{{http_code}}' https://discord.com/api/v10/gateway",
          "호스트에서 Discord에 연결되나요? curl -sS -o /dev/null -w '%{{http_code}}' "
          "https://discord.com/api/v10/gateway")),
)
_NO_HINT = Text("docker logs --tail 50 {container}; https://discordstatus.com says how Discord is",
                "docker logs --tail 50 {container}; Discord 상태는 https://discordstatus.com에서 확인하세요")

RULES = table(
    Rule(
        "contact-point", Text("contact point", "알림 연락처"),
        Text("of the type discord, with an address", "discord 형식이며 주소가 설정됨"),
        {
            "there": Case(PASS, Text("of the type discord, with an address", "discord 형식이며 주소가 설정됨")),
            "nowhere": Case(WARN, Text("alerts go nowhere: .env has no DISCORD_WEBHOOK_URL",
                                       "알림이 아무 데도 가지 않음: .env에 DISCORD_WEBHOOK_URL이 없음"), _SET_WEBHOOK),
            "missing": Case(FAIL, Text("Grafana does not have it", "Grafana에 없음"), _READ_AGAIN),
            "type": Case(FAIL, Text("of the type {type}", "{type} 형식임"), _READ_AGAIN),
            "unset": Case(FAIL, Text("has no address", "주소가 없음"), _SET_WEBHOOK),
            "leftover": Case(WARN, Text("posts to the address of an earlier deploy: .env has no DISCORD_WEBHOOK_URL "
                                        "any more, and Grafana keeps what it has",
                                        ".env에서 DISCORD_WEBHOOK_URL이 없어졌지만 Grafana는 이전 배포의 주소로 계속 "
                                        "보냄"),
                             Text("to end it delete the webhook in Discord; to go on put it back into the vault and "
                                  "deploy: ansible-playbook site.yml",
                                  "그만 받으려면 Discord에서 그 웹후크를 삭제하고, 계속 받으려면 Vault에 다시 넣고 "
                                  "배포하세요: ansible-playbook site.yml")),
            "other": Case(FAIL, Text("posts to another address than DISCORD_WEBHOOK_URL in .env",
                                     ".env의 DISCORD_WEBHOOK_URL과 다른 주소로 보냄"),
                          Text("ansible-playbook site.yml; then: docker restart {container}",
                               "ansible-playbook site.yml; 그다음: docker restart {container}")),
        }),
    Rule(
        "alert-routing", Text("notification policy", "알림 정책"),
        Text("every alert goes to {name}", "모든 알림이 {name}(으)로 감"),
        {
            "right": Case(PASS, Text("all goes to {name}", "모두 {name}(으)로 감")),
            "root": Case(FAIL, Text("the default policy leads to {other}", "기본 정책이 {other}(으)로 연결됨"),
                         _READ_AGAIN),
            "astray": Case(FAIL, Text("goes to {other} instead: {rules}", "{other}(으)로 가는 규칙: {rules}"),
                           _READ_AGAIN),
            "muted": Case(WARN, Text("muted at times by {timings}: {rules}",
                                     "{timings}에 따라 음소거되는 규칙: {rules}"),
                          Text("Grafana > Alerting > Notification policies; take the timing out if it is not meant",
                               "Grafana > Alerting > Notification policies에서 의도하지 않은 시간 설정을 지우세요")),
        }),
    Rule(
        "alert-delivery", Text("last notification", "마지막 알림 전송"),
        Text("delivered", "전송됨"),
        {
            "delivered": Case(PASS, Text("delivered {ago} ago, took {duration}", "{ago} 전 전송됨, {duration} 걸림")),
            "none": Case(PASS, Text("nothing was sent since Grafana started",
                                    "Grafana가 시작된 뒤 보낸 알림이 없음")),
            "failed": Case(FAIL, Text("failed {ago} ago: {error}", "{ago} 전 실패: {error}"), _HINT),
            "unlisted": Case(UNKNOWN, Text("Grafana shows no deliveries of it", "Grafana에 전송 기록이 없음"),
                             _READ_AGAIN),
        }),
    Rule(
        "alert-silence", Text("silences", "알림 음소거(silence)"),
        Text("nothing hides an alert", "가려진 알림이 없음"),
        {
            "none": Case(PASS, Text("none that hides an alert", "알림을 가리는 음소거 없음")),
            "everything": Case(WARN, Text("all alerts are silenced for another {left} ({comment})",
                                          "모든 알림이 앞으로 {left} 동안 음소거됨({comment})"),
                               Text("Grafana > Alerting > Silences: end it if it is not meant",
                                    "Grafana > Alerting > Silences에서 의도하지 않은 것은 해제하세요")),
            "some": Case(WARN, Text("silenced for another {left} ({comment}): {rules}",
                                    "앞으로 {left} 동안 음소거됨({comment}): {rules}"),
                         Text("Grafana > Alerting > Silences: end it if it is not meant",
                              "Grafana > Alerting > Silences에서 의도하지 않은 것은 해제하세요")),
        }),
    Rule(
        "test-message", Text("test message", "시험 메시지"),
        Text("delivered to Discord", "Discord에 전송됨"),
        {
            "sent": Case(PASS, Text("Grafana delivered it: it must be in the channel now",
                                    "Grafana가 전송함: 채널에 보여야 합니다")),
            "failed": Case(FAIL, Text("Grafana could not deliver it: {error}", "Grafana가 전송하지 못함: {error}"),
                           _HINT),
            "unclear": Case(UNKNOWN, Text("Grafana did not say in time whether it was delivered",
                                          "Grafana가 제시간에 결과를 알려주지 않음"),
                            Text("look into the channel; then: docker logs --tail 50 {container}",
                                 "채널을 확인하세요. 그다음: docker logs --tail 50 {container}")),
            "unsent": Case(UNKNOWN, Text("not sent: there is no contact point to test",
                                         "보내지 않음: 시험할 연락처가 없음"), _READ_AGAIN),
            "direct": Case(WARN, Text("this Grafana cannot test; it was posted to the webhook from the host and taken. "
                                      "Whether Grafana delivers is not proven",
                                      "이 Grafana에는 시험 기능이 없어 호스트에서 웹후크로 직접 보냄(성공). "
                                      "Grafana의 전송은 확인되지 않음"),
                           Text("use a version of Grafana from 10 to 13", "Grafana 10~13 버전을 사용하세요")),
            "direct-failed": Case(FAIL, Text("this Grafana cannot test; posted to the webhook from the host, it was "
                                             "refused: {error}",
                                             "이 Grafana에는 시험 기능이 없어 호스트에서 웹후크로 직접 보냄(거부됨): "
                                             "{error}"),
                                  _HINT),
        }),
)


def failed(rule: str, case: str, error: Any, secrets: Sequence[str], description: Mapping[str, Any],
           **values: Any) -> Finding:
    """The same about a delivery that failed, with what to do about that error."""
    shown = masked(error, secrets)
    hint = next((text for pattern, text in _HINTS if pattern.search(shown)), _NO_HINT)
    return finding(rule, case, description, error=shown,
                   hint=hint.fill(container=grafana_api.container(description)), **values)


def finding(rule: str, case: str, description: Mapping[str, Any], **values: Any) -> Finding:
    """A finding about the contact point."""
    return RULES[rule].finding(case, NAME, name=NAME, container=grafana_api.container(description), **values)
