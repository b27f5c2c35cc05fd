#!/usr/bin/env python3
"""Writes the checklist as documentation, from the variables that the host's command and the playbooks go through.

    checklist.py      writes docs/checklist.md and docs/checklist.ko.md
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
VARIABLES = CHECKOUT / "roles/stack/vars/main"
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
ACTIVITY_EXAMPLE = """```yaml
stack_activity_overrides:
  market_data: {max_age: 3m}
  daily_report: {enabled: false}
  regime: {query: SELECT max(seen_at) FROM market_regimes}
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
# Of more rules than this, the number is told.
MOST_RULES = 12
TIMES = {"daily": ("day", "매일"), "weekly": ("week", "매주"), "t0": ("T+0m", "T+0m"), "t1h": ("T+1h", "T+1h"),
         "t6h": ("T+6h", "T+6h"), "t12h": ("T+12h", "T+12h"), "t24h": ("T+24h", "T+24h")}
WORDS = {
    "item": ("item", "항목"),
    "about": ("what is looked at", "점검 내용"),
    "times": ("What is due when", "언제 무엇을 점검하나"),
    "details": ("What passes, and what to do if it does not", "정상 기준과 이상 시 조치"),
    "passes": ("passes when", "정상 기준"),
    "advice": ("if it does not", "이상 시 조치"),
    "needs": ("not judged while one of these is down: {names}", "이 서비스가 멈춰 있으면 판단하지 않음: {names}"),
    "many": ("{count} rules pass", "규칙 {count}개 통과"),
    "options": ("Options", "옵션"),
    "options-of": ("What an item may be given in `options`, by its reader, and what holds otherwise.",
                   "항목의 `options`에 쓸 수 있는 것을 읽는 곳(`read`)별로 기본값과 함께 표시합니다."),
    "reader": ("reader", "읽는 곳"),
    "activity": ("Activity", "활동"),
    "activity-of": ("What shows that the application is at work (`roles/stack/vars/main/activity.yml`). Where the "
                    "application keeps it elsewhere, or on another schedule, the inventory says so:",
                    "애플리케이션이 동작하고 있음을 보여 주는 것입니다(`roles/stack/vars/main/activity.yml`). "
                    "저장 위치나 주기가 다르면 인벤토리에서 바꾸세요."),
    "name": ("name", "이름"),
    "where": ("where it is seen", "확인하는 곳"),
    "newest": ("the newest is", "가장 최근 것"),
    "within": ("within {age}", "{age} 이내"),
    "otherwise": ("otherwise", "아니면"),
}


def main() -> int:
    for lang, name in FILES.items():
        (CHECKOUT / name).write_text(document(lang), encoding="utf-8")
    return 0


def items() -> dict[str, Any]:
    return variable("checklist.yml", "stack_checklist")


def variable(file: str, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((VARIABLES / file).read_text(encoding="utf-8"))[name]
    return loaded


def document(lang: str) -> str:
    """When each item is due, what passes and what to do, the options, what activity is; in one language."""
    lines = [INTRO[lang], f"## {word('times', lang)}", "",
             row([word("item", lang), word("about", lang), *(pick(names, lang) for names in TIMES.values())]),
             row(["---", "---", *(":-:" for _ in TIMES)])]
    lines += [row([f"`{name}`", item["title"][lang], *("●" if time in item["at"] else "" for time in TIMES)])
              for name, item in items().items()]
    lines += ["", f"## {word('details', lang)}", "", row([word(key, lang) for key in ("item", "passes", "advice")]),
              row(["---"] * 3)]
    lines += [row([f"`{name}`", passes(item, lang), item["advice"][lang]]) for name, item in items().items()]
    lines += ["", f"## {word('options', lang)}", "", word("options-of", lang), "",
              row([word("reader", lang), word("options", lang)]), row(["---"] * 2)]
    lines += [row([f"`{name}`", ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in options.items())])
              for name, options in ((name, source(name).options) for name in readers().READERS) if options]
    return "\n".join(lines + activity(lang)) + "\n"


def activity(lang: str) -> list[str]:
    lines = ["", f"## {word('activity', lang)}", "", word("activity-of", lang), "", ACTIVITY_EXAMPLE,
             row([word(key, lang) for key in ("name", "about", "where", "newest", "otherwise")]), row(["---"] * 5)]
    for name, entry in variable("activity.yml", "stack_activity").items():
        where = next(f"{entry['kind']}: `{entry[key]}`" for key in ("query", "key", "pattern") if key in entry)
        age = word("within", lang).format(age=entry["max_age"])
        lines.append(row([f"`{name}`", entry["title"][lang], where, age, entry.get("late", "FAIL")]))
    return lines


def passes(item: dict[str, Any], lang: str) -> str:
    """What the item's rules expect."""
    rules = [rule for name, rule in source(item["read"]).rules.items() if name in item.get("rules", [name])]
    told = dict.fromkeys(f"{rule.title.get(lang)}: {rule.expected.get(lang)}" for rule in rules)
    text = "; ".join(told) if len(rules) <= MOST_RULES else word("many", lang).format(count=len(rules))
    needs = word("needs", lang).format(names=", ".join(item["needs"])) if "needs" in item else ""
    return f"{text} ({needs})" if needs else text


def readers() -> Any:
    """The readers of the checklist; the collection is found by its own name, as Ansible finds it."""
    collections = str(CHECKOUT / "collections")
    if collections not in sys.path:
        sys.path.insert(0, collections)
    return importlib.import_module("ansible_collections.coinpilot.ops.plugins.module_utils.checklist_readers")


def source(name: str) -> Any:
    return readers().READERS[name]()


def word(key: str, lang: str) -> str:
    return pick(WORDS[key], lang)


def pick(words: tuple[str, str], lang: str) -> str:
    return words[lang == "ko"]


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    sys.exit(main())
