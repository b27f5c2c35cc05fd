#!/usr/bin/env python3
"""Writes the checklist as documentation, from the variables that the host's command and the playbooks go through.

    checklist.py      writes docs/checklist.md and docs/checklist.ko.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
ITEMS = CHECKOUT / "roles/stack/vars/main/checklist.yml"
FILES = {"en": "docs/checklist.md", "ko": "docs/checklist.ko.md"}
EXAMPLE = """```yaml
stack_checklist_overrides:
  webhooks: {at: [weekly]}          # %s
  security: {enabled: false}        # %s
  disk:
    options: {disk_least: 5}        # %s
  my-bot:                           # %s
    at: [daily, t6h]
    title: {en: The bot alone, ko: 봇만}
    advice: {en: Look at its log, ko: 로그를 확인하세요}
    read: restarts
    rules: [restart]
```
"""
INTRO = {
    "en": """# The checklist

Written by `tools/checklist.py` from `roles/stack/vars/main/checklist.yml`; a test compares. On the host
`sudo coinpilot-ops verify` goes through the daily items, `sudo coinpilot-ops check CHECKPOINT` through those of
`weekly`, `t0`, `t1h`, `t6h`, `t12h`, `t24h` or `all` (each item that is daily or due after a change);
`--only ITEM` looks at some. From the control machine: `playbooks/verify.yml`, `playbooks/checklist.yml` and
`playbooks/weekly.yml`.

Each item is PASS, WARN, FAIL or UNKNOWN: what cannot be read is never a pass. While a service that an item needs is
down, the item is not judged, so that one fault is one red line.

An installation changes the items in its inventory:

""" + EXAMPLE % ("another time", "off", "another limit", "one of your own"),
    "ko": """# 점검 목록

`tools/checklist.py`가 `roles/stack/vars/main/checklist.yml`에서 만든 문서이며 테스트가 비교합니다.
호스트에서 `sudo coinpilot-ops verify`는 매일 항목을, `sudo coinpilot-ops check 체크포인트`는 `weekly`, `t0`, `t1h`,
`t6h`, `t12h`, `t24h` 또는 `all`(매일 항목과 변경 후 항목 전체)을 점검합니다. `--only 항목`으로 일부만 볼 수 있습니다.
제어 머신에서는 `playbooks/verify.yml`, `playbooks/checklist.yml`, `playbooks/weekly.yml`을 실행합니다.

결과는 정상(PASS), 주의(WARN), 실패(FAIL), 판단 불가(UNKNOWN)입니다. 읽을 수 없는 것은 정상으로 보지 않습니다.
항목에 필요한 서비스가 멈춰 있으면 그 항목은 판단하지 않으므로, 고장 하나는 빨간 줄 하나로 나타납니다.

인벤토리에서 바꿀 수 있습니다.

""" + EXAMPLE % ("시점 변경", "끄기", "기준값 변경", "새 항목"),
}
TITLES = {
    "daily": {"en": "Each day", "ko": "매일"},
    "weekly": {"en": "Each week", "ko": "매주"},
    "t0": {"en": "After a change: at once (T+0m)", "ko": "변경 직후(T+0m)"},
    "t1h": {"en": "After a change: 1 hour (T+1h)", "ko": "변경 1시간 뒤(T+1h)"},
    "t6h": {"en": "After a change: 6 hours (T+6h)", "ko": "변경 6시간 뒤(T+6h)"},
    "t12h": {"en": "After a change: 12 hours (T+12h)", "ko": "변경 12시간 뒤(T+12h)"},
    "t24h": {"en": "After a change: 24 hours (T+24h)", "ko": "변경 24시간 뒤(T+24h)"},
}
HEADINGS = {"en": "| item | what is looked at | if it is not well |", "ko": "| 항목 | 점검 내용 | 이상 시 조치 |"}


def main() -> int:
    for lang, name in FILES.items():
        (CHECKOUT / name).write_text(document(lang), encoding="utf-8")
    return 0


def items() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(ITEMS.read_text(encoding="utf-8"))["stack_checklist"]
    return loaded


def document(lang: str) -> str:
    """The items of each selection, in one language."""
    lines = [INTRO[lang]]
    for selection, titles in TITLES.items():
        lines += [f"## {titles[lang]}", "", HEADINGS[lang], "|---|---|---|"]
        lines += [f"| `{name}` | {cell(item['title'][lang])} | {cell(item['advice'][lang])} |"
                  for name, item in items().items() if selection in item["at"]]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
