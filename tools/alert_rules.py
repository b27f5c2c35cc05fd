#!/usr/bin/env python3
"""Writes the alert rules as documentation, from the variables that Grafana's rules are made of.

    alert_rules.py      writes docs/alert-rules.md and docs/alert-rules.ko.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
RULES = CHECKOUT / "roles/stack/vars/main/alert_rules.yml"
FILES = {"en": "docs/alert-rules.md", "ko": "docs/alert-rules.ko.md"}
INTRO = {
    "en": """# The alert rules

Written by `tools/alert_rules.py` from `roles/stack/vars/main/alert_rules.yml`; a test compares. Grafana evaluates them
every 30 seconds and sends what fires, and what is over, to Discord. An installation changes them in its inventory:

```yaml
stack_alert_rule_overrides:
  BotDown: {for: 5m}                # another duration
  DiskFillingUp: {below: 15}        # another limit
  ClockSkew: {enabled: false}       # off: Grafana deletes it
  MyOwn:
    group: application
    severity: warning
    query: sum(coinpilot_active_positions) or vector(0)
    above: 10
    for: 5m
    summary: {en: More than ten positions are open, ko: 열린 포지션이 10개를 넘습니다}
    action:
      en: "On the host: `docker logs --tail 100 coinpilot-bot`"
      ko: "호스트에서 `docker logs --tail 100 coinpilot-bot`을 확인하세요"
```

`{...}` stands for what was found, e.g. the service.
""",
    "ko": """# 알림 규칙

`tools/alert_rules.py`가 `roles/stack/vars/main/alert_rules.yml`에서 만든 문서이며 테스트가 비교합니다.
Grafana가 30초마다 평가하고, 발생한 알림과 해결된 알림을 Discord로 보냅니다. 인벤토리에서 바꿀 수 있습니다.

```yaml
stack_alert_rule_overrides:
  BotDown: {for: 5m}                # 지속 시간 변경
  DiskFillingUp: {below: 15}        # 기준값 변경
  ClockSkew: {enabled: false}       # 끄기: Grafana에서 삭제됨
  MyOwn:
    group: application
    severity: warning
    query: sum(coinpilot_active_positions) or vector(0)
    above: 10
    for: 5m
    summary: {en: More than ten positions are open, ko: 열린 포지션이 10개를 넘습니다}
    action:
      en: "On the host: `docker logs --tail 100 coinpilot-bot`"
      ko: "호스트에서 `docker logs --tail 100 coinpilot-bot`을 확인하세요"
```

`{...}` 자리에는 서비스 이름처럼 실제로 찾은 것이 들어갑니다.
""",
}
GROUPS = {
    "application": {"en": "The application", "ko": "애플리케이션"},
    "containers": {"en": "Containers", "ko": "컨테이너"},
    "backups": {"en": "Backups and rehearsals", "ko": "백업과 복구 리허설"},
    "checks": {"en": "The daily check", "ko": "일일 점검"},
    "host": {"en": "The host and the monitoring itself", "ko": "호스트와 모니터링 자체"},
}
SEVERITIES = {"critical": {"en": "critical", "ko": "치명적"}, "warning": {"en": "warning", "ko": "주의"}}
ABOVE = {"en": "above {limit}", "ko": "{limit} 초과"}
BELOW = {"en": "below {limit}", "ko": "{limit} 미만"}
LASTING = {"en": "for {time}", "ko": "{time} 동안"}
HEADINGS = {"en": "| rule | severity | fires when it says | what to do |", "ko": "| 규칙 | 심각도 | 알림 내용 | 조치 |"}


def main() -> int:
    for lang, name in FILES.items():
        (CHECKOUT / name).write_text(document(lang), encoding="utf-8")
    return 0


def rules() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["stack_alert_rules"]
    return loaded


def document(lang: str) -> str:
    """All rules, by group, in one language: what each says and what to do, then how it is measured."""
    lines = [INTRO[lang]]
    for group, titles in GROUPS.items():
        members = {name: rule for name, rule in rules().items() if rule["group"] == group}
        lines += [f"## {titles[lang]}", "", HEADINGS[lang], "|---|---|---|---|"]
        lines += [f"| {name} | {SEVERITIES[rule['severity']][lang]} | {cell(rule['summary'][lang])} "
                  f"| {cell(rule['action'][lang])} |" for name, rule in members.items()]
        lines += ["", "```promql"]
        lines += [f"# {name}: {condition(rule, lang)}\n{rule['query']}" for name, rule in members.items()]
        lines += ["```", ""]
    return "\n".join(lines).rstrip() + "\n"


def condition(rule: dict[str, Any], lang: str) -> str:
    limit = ABOVE[lang].format(limit=rule["above"]) if "above" in rule else BELOW[lang].format(limit=rule["below"])
    return f"{limit}, {LASTING[lang].format(time=rule['for'])}"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
