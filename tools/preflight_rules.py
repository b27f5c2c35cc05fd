#!/usr/bin/env python3
"""Writes the rules of the security preflight as documentation, from the tables that the code uses.

    preflight_rules.py      writes docs/preflight-rules.md and docs/preflight-rules.ko.md
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
RULES = "ansible_collections.coinpilot.ops.plugins.module_utils"
FILES = {"en": "docs/preflight-rules.md", "ko": "docs/preflight-rules.ko.md"}
WORDS = {
    "title": ("The rules of the security preflight", "보안 사전 점검의 규칙"),
    "intro": (
        "Written by `tools/preflight_rules.py` from the tables in `plugins/module_utils/preflight_*.py`; a test "
        "compares. An id never changes its meaning: a waiver names it. `{...}` stands for what was seen.",
        "`tools/preflight_rules.py`가 `plugins/module_utils/preflight_*.py`의 표에서 만든 문서이며 테스트가 "
        "비교합니다. id의 뜻은 바뀌지 않으므로 면제에 쓸 수 있습니다. `{...}` 자리에는 실제로 본 것이 들어갑니다."),
    "rule": ("rule", "규칙"),
    "severity": ("severity", "심각도"),
    "expected": ("expected", "기준"),
    "why": ("Why:", "이유:"),
    "status": ("status", "상태"),
    "seen": ("what it says", "메시지"),
    "fix": ("what to do", "조치"),
}
SEVERITIES = {"critical": "치명적", "high": "높음", "medium": "중간", "low": "낮음"}
PARTS = {
    "preflight_compose": ("Compose files, as Compose resolves them", "Compose가 해석한 compose 파일"),
    "preflight_env": ("`.env`, as Compose reads it", "Compose가 읽은 `.env`"),
    "preflight_workflows": ("n8n workflows", "n8n 워크플로"),
    "preflight_host": ("The running host", "실행 중인 호스트"),
    "preflight_outside": ("From outside", "외부에서 본 포트"),
    "preflight_oci": ("OCI's own rules", "OCI의 보안 규칙"),
    "preflight_policy": ("The policy itself", "정책"),
}


def main() -> int:
    for lang, name in FILES.items():
        (CHECKOUT / name).write_text(document(lang), encoding="utf-8")
    return 0


def document(lang: str) -> str:
    """All rules, by the judge they belong to, in one language."""
    lines = [f"# {word('title', lang)}", "", word("intro", lang), ""]
    for module, titles in PARTS.items():
        lines += [f"## {pick(titles, lang)}", ""]
        for rule in load(module).RULES.values():
            lines += section(rule, lang)
    return "\n".join(lines).rstrip() + "\n"


def section(rule: Any, lang: str) -> list[str]:
    severity = rule.severity if lang == "en" else SEVERITIES[rule.severity]
    lines = [f"### {rule.id}", "",
             f"{word('severity', lang)}: {severity} · {word('expected', lang)}: {shown(rule.expected, lang)}", ""]
    if rule.why.get(lang):
        lines += [f"{word('why', lang)} {shown(rule.why, lang)}", ""]
    lines += [f"| {word('status', lang)} | {word('seen', lang)} | {word('fix', lang)} |", "|---|---|---|"]
    for case in rule.cases.values():
        status = load("findings").STATUS_WORDS[case.status].get(lang)
        lines.append(f"| {status} | {shown(case.seen, lang)} | {shown(case.fix, lang)} |")
    return [*lines, ""]


def shown(text: Any, lang: str) -> str:
    """As Markdown reads it: a bar would end the cell, and a placeholder is what was seen."""
    plain = text.get(lang).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("\n", " ")
    marked = re.sub(r"(?<!\{)\{(\w+)\}(?!\})", r"`{\1}`", plain)
    return str(marked.replace("{{", "{").replace("}}", "}"))


def word(name: str, lang: str) -> str:
    return pick(WORDS[name], lang)


def pick(texts: tuple[str, str], lang: str) -> str:
    return texts[1] if lang == "ko" else texts[0]


def load(module: str) -> Any:
    if str(CHECKOUT / "collections") not in sys.path:
        sys.path.insert(0, str(CHECKOUT / "collections"))
    return importlib.import_module(f"{RULES}.{module}")


if __name__ == "__main__":
    sys.exit(main())
