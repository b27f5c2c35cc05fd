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
  my-candles:                       # %s
    at: [daily, t1h]
    title: {en: Market candles, ko: 시세 캔들}
    advice: {en: "Look at the collector's log", ko: 수집기 로그를 확인하세요}
    read: activity
    options: {only: [market_data]}
    needs: [db]
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
`--only ITEM` looks at some. From your PC: `playbooks/verify.yml`, `playbooks/checklist.yml` and
`playbooks/weekly.yml`.

Each item is PASS, WARN, FAIL or UNKNOWN: what cannot be read is never a pass. While a service that an item needs is
down, the item is not judged, so that one fault is one red line.

An installation changes the items in its inventory:

""" + EXAMPLE % ("another time", "off", "another limit", "one of your own") + """
A deploy brings the change to the host; `playbooks/verify.yml` goes by it at once.
""",
    "ko": """# 점검 목록

`tools/checklist.py`가 `roles/stack/vars/main/checklist.yml`에서 만든 문서이며 테스트가 비교합니다.
호스트에서 `sudo coinpilot-ops verify`는 매일 항목을, `sudo coinpilot-ops check 체크포인트`는 `weekly`, `t0`, `t1h`,
`t6h`, `t12h`, `t24h` 또는 `all`(매일 항목과 변경 후 항목 전체)을 점검합니다. `--only 항목`으로 일부만 볼 수 있습니다.
PC에서는 `playbooks/verify.yml`, `playbooks/checklist.yml`, `playbooks/weekly.yml`을 실행합니다.

결과는 정상(PASS), 주의(WARN), 실패(FAIL), 판단 불가(UNKNOWN)입니다. 읽을 수 없는 것은 정상으로 보지 않습니다.
항목에 필요한 서비스가 멈춰 있으면 그 항목은 판단하지 않으므로, 고장 하나는 빨간 줄 하나로 나타납니다.

인벤토리에서 바꿀 수 있습니다.

""" + EXAMPLE % ("시점 변경", "끄기", "기준값 변경", "새 항목") + """
`playbooks/verify.yml`에는 바로 적용되고, 호스트의 점검과 24시간 감시에는 배포해야 적용됩니다.
""",
}
PATTERN_EXAMPLE = """```yaml
stack_log_pattern_overrides:
  rss-feeds: {enabled: false}
  my-margin:
    in: [bot]
    find: Margin call
    status: FAIL
    title: {en: margin call, ko: 마진콜}
```
"""
# What stands for a rule's placeholders in a document: words, with the options of its reader.
STANDS_FOR: dict[str, dict[str, str | tuple[str, str]]] = {
    "": {"wanted": ("as described", "스택 설명과 같음"), "window": ("the time looked at", "점검 구간"),
         "owner": ("its owner", "지정된 소유자"), "port": ("its port", "지정된 포트"),
         "mount": ("n8n's directory", "n8n 디렉터리"), "name": ("the contact point", "지정된 contact point"),
         "schedule": ("at its time:", "정해진 시각에"), "command": ("its command", "정해진 명령 실행")},
    "restart": {"since": ("the time looked at", "점검 구간")},
    "n8n-volume": {"wanted": ("its own volume", "n8n 볼륨")},
    "activity": {"limit": ("the age below", "아래 표의 시간")},
    "log-flood": {"limit": "{flood} KiB"},
    "log-silence": {"limit": ("the time in `silence`", "`silence`의 시간")},
    "disk": {"least": "{disk_least}", "low": "{disk_low}"},
    "inodes": {"least": "{inodes_least}"},
    "memory": {"least": "{memory_least}"},
    "swap": {"most": "{swap_used}"},
    "load": {"most": "{load}"},
    "clock": {"most": "{clock_offset}"},
    "updates": {"days": "{lists_days}"},
    "certificate": {"days": "{certificate_days}"},
    "backup-trend": {"most": "{growth}"},
}
UNITS = {
    "only": ("names of the table below; null: all", "아래 표의 이름, null: 전부"),
    "without": ("names of the table below", "아래 표의 이름"),
    "silence": ("service: time, such as 30m", "서비스: 시간(예: 30m)"), "flood": ("KiB a minute", "분당 KiB"),
    "disk_least": ("% free, less fails", "% 여유, 미만이면 실패"),
    "disk_low": ("% free, less warns", "% 여유, 미만이면 주의"),
    "inodes_least": ("% free", "% 여유"), "memory_least": ("% available", "% 사용 가능"),
    "swap_used": ("% in use", "% 사용"), "memory_stalls": ("% of the time waiting for memory", "% 메모리 대기 시간"),
    "load": ("for each processor", "프로세서당"), "clock_error": ("s", "초"), "clock_offset": ("s", "초"),
    "certificate_days": ("days", "일"), "lists_days": ("days", "일"), "grace_hours": ("hours", "시간"),
    "bytes": ("bytes that are read at most", "최대로 읽는 바이트"), "growth": ("% in a week", "주간 %"),
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
    "otherwise": ("otherwise", "기준을 넘으면"),
    "patterns": ("Lines of the logs", "로그 줄의 의미"),
    "patterns-of": ("What is looked for in the services' logs (`roles/stack/vars/main/log_patterns.yml`). Changed or "
                    "added in the inventory:",
                    "서비스 로그에서 찾는 것입니다(`roles/stack/vars/main/log_patterns.yml`). 인벤토리에서 바꾸거나 "
                    "추가합니다."),
    "in": ("in the log of", "로그"),
    "find": ("what is found", "찾는 글"),
    "status": ("it is", "판정"),
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
    for name in module("checklist_readers").READERS:
        options = [f"`{key}: {json.dumps(value)}` ({pick(UNITS[key], lang)})"
                   for key, value in source(name).options.items()]
        lines += [row([f"`{name}`", "; ".join(options)])] if options else []
    return "\n".join(lines + activity(lang) + patterns(lang)) + "\n"


def activity(lang: str) -> list[str]:
    lines = ["", f"## {word('activity', lang)}", "", word("activity-of", lang), "", ACTIVITY_EXAMPLE,
             row([word(key, lang) for key in ("name", "about", "where", "newest", "otherwise")]), row(["---"] * 5)]
    for name, entry in variable("activity.yml", "stack_activity").items():
        where = next(f"{entry['kind']}: `{entry[key]}`" for key in ("query", "key", "pattern") if key in entry)
        age = module("moments").span(module("moments").seconds(entry["max_age"])).get(lang)
        lines.append(row([f"`{name}`", entry["title"][lang], where, word("within", lang).format(age=age),
                          status(entry.get("late", "FAIL"), lang)]))
    return lines


def patterns(lang: str) -> list[str]:
    lines = ["", f"## {word('patterns', lang)}", "", word("patterns-of", lang), "", PATTERN_EXAMPLE,
             row([word(key, lang) for key in ("name", "in", "find", "status", "about")]), row(["---"] * 5)]
    for name, entry in variable("log_patterns.yml", "stack_log_patterns").items():
        lines.append(row([f"`{name}`", ", ".join(entry["in"]), f"`{entry['find']}`", status(entry["status"], lang),
                          entry["title"][lang]]))
    return lines


def passes(item: dict[str, Any], lang: str) -> str:
    """What the item's rules expect."""
    rules = [rule for name, rule in source(item["read"]).rules.items() if name in item.get("rules", [name])]
    told = dict.fromkeys(f"{rule.title.get(lang)}: {expected(rule, source(item['read']).options, lang)}"
                         for rule in rules)
    text = "; ".join(told) if len(rules) <= MOST_RULES else word("many", lang).format(count=len(rules))
    needs = word("needs", lang).format(names=", ".join(item["needs"])) if "needs" in item else ""
    return f"{text} ({needs})" if needs else text


def expected(rule: Any, options: Any, lang: str) -> str:
    """What a rule expects, with words or the option's value for what is known on the host only."""
    known = {**STANDS_FOR[""], **STANDS_FOR.get(rule.id, {})}
    words = {name: stands if isinstance(stands, str) else pick(stands, lang) for name, stands in known.items()}
    return str(rule.expected.get(lang).format(**{name: text.format(**options) for name, text in words.items()}))


def status(name: str, lang: str) -> str:
    return str(module("findings").STATUS_WORDS[name].get(lang))


def module(name: str) -> Any:
    """One of the module_utils; the collection is found by its own name, as Ansible finds it."""
    collections = str(CHECKOUT / "collections")
    if collections not in sys.path:
        sys.path.insert(0, collections)
    return importlib.import_module(f"ansible_collections.coinpilot.ops.plugins.module_utils.{name}")


def source(name: str) -> Any:
    return module("checklist_readers").READERS[name]()


def word(key: str, lang: str) -> str:
    return pick(WORDS[key], lang)


def pick(words: tuple[str, str], lang: str) -> str:
    return words[lang == "ko"]


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    sys.exit(main())
