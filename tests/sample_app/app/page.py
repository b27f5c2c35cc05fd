"""The dashboard's pages: HTML in one piece, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Any

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #16191d; --muted: #5b6470; --line: #dfe3e8;
  --accent: #2460c8; --good: #1a7a45; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1d2126; --text: #e8eaed; --muted: #a2abb6; --line: #333a42;
    --accent: #7aa7f5; --good: #5fce90; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", sans-serif;
}
header, main { max-width: 1040px; margin: 0 auto; padding: 0 20px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; padding-top: 20px; }
h1 { font-size: 20px; margin: 0; }
h2 { font-size: 15px; margin: 0 0 12px; }
.muted, header form button { color: var(--muted); font-size: 13px; }
header form { margin-left: auto; }
header form button { background: none; border: 1px solid var(--line); }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 16px 20px; margin: 16px 0; overflow-x: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 16px; }
.tile { padding: 12px 16px; }
.tile span { display: block; }
.tile b { display: block; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; }
.columns section { margin: 0 0 4px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { color: var(--muted); font-weight: 500; text-align: left; white-space: nowrap; }
th, td { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--muted); font-size: 12px; }
svg .grid { stroke: var(--line); }
svg .series { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.login { max-width: 360px; margin: 15vh auto 0; }
label { display: block; margin: 16px 0 4px; }
input, button { font: inherit; padding: 8px 12px; border-radius: 6px; border: 1px solid var(--line); }
input { width: 100%; background: var(--page); color: var(--text); }
.login button { margin-top: 12px; width: 100%; background: var(--accent); border-color: var(--accent);
  color: var(--card); cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""

SAMPLE = "견본 애플리케이션: 실제 주문 없음 · Sample application: no real orders"
CHART_WIDTH, CHART_HEIGHT, CHART_MARGIN, CHART_LABELS = 960, 200, 20, 96


@dataclass
class View:
    """What the overview shows; what is not known stays None or empty."""

    symbol: str
    balance: Any = None
    total_pnl: Any = None
    positions: int | None = None
    trades: int | None = None
    regime: str | None = None
    bot_alive: bool = False
    bot_age_seconds: float | None = None
    candles: list[list[Any]] = field(default_factory=list)  # newest first
    decisions: list[list[Any]] = field(default_factory=list)


def login(refused: bool = False) -> str:
    problem = '<p class="bad" role="alert">✗ 비밀번호가 다릅니다. · Wrong password.</p>' if refused else ""
    return _document(
        f"""<main><section class="login"><h1>CoinPilot</h1><p class="muted">{SAMPLE}</p>
<form method="post" action="/login" accept-charset="utf-8">
<label for="password">접속 비밀번호 · Access password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
{problem}<button>로그인 · Sign in</button></form></section></main>"""
    )


def overview(view: View, problems: list[str]) -> str:
    alerts = "".join(f'<section class="bad" role="alert">✗ {escape(text)}</section>' for text in problems)
    tiles = "".join(
        (
            _tile("잔고", "Balance (KRW)", _money(view.balance)),
            _tile("실현 손익", "Realised P/L (KRW)", _money(view.total_pnl), _tone(view.total_pnl)),
            _tile("보유 포지션", "Open positions", _plain(view.positions)),
            _tile("최근 이틀 거래", "Trades, last 2 days", _plain(view.trades)),
            _tile("시장 국면", "Market regime", _plain(view.regime)),
            _tile("봇의 마지막 신호", "Bot's last sign", _bot(view), "good" if view.bot_alive else "bad"),
        )
    )
    return _document(
        f"""<header><h1>CoinPilot {escape(view.symbol)}</h1><span class="muted">{SAMPLE}</span>
<form method="post" action="/logout"><button>로그아웃 · Sign out</button></form></header>
<main>{alerts}<div class="tiles">{tiles}</div>
<section><h2>최근 종가 · Last closes (KRW)</h2>{_chart(view.candles)}</section>
<div class="columns"><section><h2>최근 캔들 · Last candles</h2>{_candle_table(view.candles[:8])}</section>
<section><h2>AI 판단 · AI decisions</h2>{_decision_table(view.decisions)}</section></div></main>""",
        refresh=True,
    )


def _document(body: str, refresh: bool = False) -> str:
    reload = '<meta http-equiv="refresh" content="15">' if refresh else ""
    return f"""<!doctype html>
<html lang="ko"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
{reload}<title>CoinPilot</title><style>{STYLE}</style></head>
<body>{body}</body></html>
"""


def _tile(korean: str, english: str, value: str, tone: str = "") -> str:
    label = f'<span>{korean}</span><span class="muted">{english}</span>'
    return f'<div class="tile">{label}<b class="{tone}">{escape(value)}</b></div>'


def _bot(view: View) -> str:
    if view.bot_age_seconds is None:
        return "✗ -"
    return f"{'✓' if view.bot_alive else '✗'} {view.bot_age_seconds:.0f} s"


def _plain(value: object) -> str:
    return "-" if value is None else str(value)


def _money(value: Any) -> str:
    return "-" if value is None else f"{float(value):,.0f}"


def _tone(value: Any) -> str:
    if not value:
        return ""
    return "good" if value > 0 else "bad"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


def _chart(candles: list[list[Any]]) -> str:
    closes = [float(candle[4]) for candle in reversed(candles)]
    if len(closes) < 2:
        return _nothing()
    low, high = min(closes), max(closes)
    span = (high - low) or 1.0
    right, bottom = CHART_WIDTH - CHART_LABELS, CHART_HEIGHT - CHART_MARGIN
    step = right / (len(closes) - 1)
    points = " ".join(
        f"{number * step:.1f},{bottom - (close - low) / span * (bottom - CHART_MARGIN):.1f}"
        for number, close in enumerate(closes)
    )
    first, last = _time(candles[-1][0]), _time(candles[0][0])
    return f"""<svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="{low:,.0f} - {high:,.0f} KRW">
<line class="grid" x1="0" x2="{right}" y1="{CHART_MARGIN}" y2="{CHART_MARGIN}"/>
<line class="grid" x1="0" x2="{right}" y1="{bottom}" y2="{bottom}"/>
<polyline class="series" points="{points}"/>
<text x="{right + 8}" y="{CHART_MARGIN + 4}">{high:,.0f}</text>
<text x="{right + 8}" y="{bottom + 4}">{low:,.0f}</text>
<text x="0" y="{CHART_HEIGHT - 4}">{first}</text>
<text x="{right}" y="{CHART_HEIGHT - 4}" text-anchor="end">{last}</text></svg>"""


def _candle_table(candles: list[list[Any]]) -> str:
    if not candles:
        return _nothing()
    rows = "".join(
        f"<tr><td>{_time(moment)}</td>"
        + "".join(f'<td class="number">{_money(price)}</td>' for price in prices)
        + "</tr>"
        for moment, *prices in candles
    )
    names = ("시가 Open", "고가 High", "저가 Low", "종가 Close")
    heads = "".join(f'<th class="number">{name}</th>' for name in names)
    return f"<table><tr><th>시각 Time</th>{heads}</tr>{rows}</table>"


def _decision_table(decisions: list[list[Any]]) -> str:
    if not decisions:
        return _nothing()
    rows = "".join(
        f"<tr><td>{_time(moment)}</td><td>{'✓ 승인' if decision == 'CONFIRM' else '✗ 거절'} {escape(decision)}</td>"
        f'<td class="number">{confidence}%</td><td>{escape(reasoning)}</td></tr>'
        for moment, decision, confidence, reasoning in decisions
    )
    return (
        '<table><tr><th>시각 Time</th><th>판단 Decision</th><th class="number">확신 Conf.</th>'
        f"<th>이유 Reason</th></tr>{rows}</table>"
    )


def _nothing() -> str:
    return '<p class="muted">아직 없습니다. · Nothing yet.</p>'
