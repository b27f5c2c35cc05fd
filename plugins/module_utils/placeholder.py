# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether a value only stands for "a value goes here". Values that were made at random never look like that."""

from __future__ import annotations

import re
from typing import List

# More than this of a value need not be looked at to tell.
_LOOKED_AT = 1024

# Values that stand for "a value goes here", whole, after _plain(). Random texts do not look like this.
_REQUEST = re.compile("|".join((
    r"c?hange_?(me|it|this)(_.*)?", r".*_change_?(me|it|this)",
    r"(please_)?(replace|insert|enter|put|fill|set)_(me|it|this|in|with|here|your|by)(_.*)?",
    r"your_.+", r".+_(goes_)?here", r"placeholder(_.*)?", r".+_placeholder", r"to_?do", r"tbd", r"fix_?me",
    r"to_be_(set|defined|filled|done)(_.*)?", r"redacted", r"x{3,}(_x+)*", r".*여기에.*",
    r".*(입력|변경|수정|교체)(하세요|하십시오|필요|해주세요|할_?것).*", r".*(넣으|바꾸)(세요|십시오).*",
)), re.DOTALL)
_SHAPES = re.compile("|".join((
    r"<[\w .,:/'-]+>", r"\{\{.*\}\}", r"\{%.*%\}", r"\{[A-Za-z_ -]+\}", r"\[[A-Za-z_ -]+\]", r"\$\([^()]*\)",
    r"\$\{[A-Za-z_]\w*(:?[-?+].*)?\}", r"(?-i:\$[A-Z][A-Z0-9]*_[A-Z0-9_]*)", r"%[A-Za-z][A-Za-z_]*%", r"__[A-Za-z_]+__",
    r"@@?[A-Za-z_]+@@?", r"\.{2,}", r"…+", r"-+", r"_+", r"\*{2,}", r"\?+", r".*://.*<[A-Za-z][\w -]+>.*",
    r"(sk|pk|ghp|xox[bp]|key|token)[-_](.{1,12}[-_])?(\.{3}|x{3,}|\*{3,}|…)",
)), re.DOTALL | re.IGNORECASE)
# The same inside of a longer value, such as a URL.
_MUST_CHANGE = re.compile(r"change[-_]?(me|this)|changeit|replace[-_]?me|replace[-_]?with|fill[-_]?me|[-_]goes[-_]here"
                          r"|(?<![a-z])your(pass|secret|token|key|api|[-_][a-z])|(put|enter)_your|(edit|set)[-_]me(?![a-z])"
                          r"|x{6,}|do[-_]not[-_]use")
_KOREAN_REQUEST = re.compile("여기에|입력하|입력해|입력 |입력값|변경하|변경해|변경필요|변경 필요|바꾸세|바꿔|바꾸기"
                             "|넣으세|넣어|넣기|채우|채워|교체|붙여|설정하세|작성하")
_KOREAN_WORDS = re.compile("(?:비밀번호|비번|암호|패스워드|테스트|시험|예시|예제|샘플|임시|변경|입력|미정|미설정|없음"
                           "|빈값|값|비밀키|비밀|키|토큰|시크릿|기본값|관리자|더미|내|나의|당신의|수정|필요|확인"
                           "|나중에|추후|을|를|용|[\\W\\d_])+")
# Beginnings that services give their keys; what follows is what counts.
_ISSUED = re.compile(r"(sk-ant-api\d\d-|sk-ant-|sk-proj-|sk[-_](?:live|test)[-_]|sk-|pk-|rk_live_|pk_(?:live|test)_"
                     r"|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|bearer |basic |token )", re.IGNORECASE)
# A value made of nothing but words of this kind is one that someone still has to fill in.
_PLACEHOLDERS = frozenset("""
    change changeme changeit placeholder your yours todo tbd tba fixme example examples sample dummy test tests
    testing tester tested replace replaceme insert enter fill put here foo bar baz foobar qux fake mock stub demo temp
    temporary tmp none null nil undefined unset unknown empty blank na default redacted masked hidden removed password
    passwd passwort pass pwd secret secrets token apikey key keys admin user username root string value text something
    anything whatever mysecret mypassword mytoken supersecret topsecret secretkey required missing pending later
    notset noset notused unused disabled false true yes no off on x xx xxx""".split())
_FILLERS = frozenset("""
    a an the my me our this that it in is to be of for with and or not please must should set me real strong random
    secure secured safe very super long short new old own some any one value string api access private public shared
    client server service app application webhook hook auth jwt session encryption encrypt db database postgres
    postgresql mysql redis mongo grafana prometheus n8n dashboard discord slack telegram openai anthropic claude gpt
    upbit binance aws gcp azure google github prod production dev development local staging live sandbox basic login
    id name before after use using deploy deployment production generated generate chars characters char character min
    minimum bytes hex base64 at least from vault sk pk ant proj v1 v2""".split())


def is_request(value: str) -> bool:
    """Whether a value plainly asks to be replaced; no setting of any kind looks like that."""
    text = value.strip().strip("'\"").strip()[:_LOOKED_AT]
    return bool(_SHAPES.fullmatch(text) or _REQUEST.fullmatch(_plain(text)) or _KOREAN_REQUEST.search(text)
                or _MUST_CHANGE.search(text.lower()))


def is_placeholder(value: str, key: str = "") -> bool:
    """Whether a secret's value is one that someone still has to fill in. Values that were made at random are not."""
    text = value.strip().strip("'\"\u201c\u201d\u2018\u2019").strip()[:_LOOKED_AT]
    if not text or is_request(text):
        return bool(text)
    issued = _ISSUED.match(text)
    if issued:
        tail = text[issued.end():]
        return not tail.strip(".…*xX-_") or is_placeholder(tail, key)
    lower = text.lower()
    bare = re.sub(r"[\s._-]", "", lower)
    if not bare.strip("x*.?-#…•") or re.search(r"(\.\.\.|…|[*•]{4})\Z", text):
        return True
    if "example" in lower:
        return True
    return _made_of_words(text, key)


def _made_of_words(text: str, key: str) -> bool:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    words = [word for word in re.split(r"[\s._,:;/\\|()\[\]{}<>'\"!?#*=+@&$%^~`-]+", apart) if word]
    words = [stripped for stripped in (re.sub(r"\d{1,4}\Z", "", word) or word for word in words) if stripped]
    if not words:
        return False
    if _KOREAN_WORDS.fullmatch(text) and re.search("[가-힣]", text):
        return True
    own = {word.lower() for word in words_of_name(key)}
    telling = [word for word in words if word in _PLACEHOLDERS]
    known = own | _PLACEHOLDERS | _FILLERS
    if all(word in known or word.isdigit() and len(word) <= 4 for word in words):
        return bool(telling) or all(word in own for word in words)
    return "".join(words) in _PLACEHOLDERS


def is_name_of(value: str, key: str) -> bool:
    """Whether a value is nothing but its key's name: DB_PASSWORD=db-password."""
    return _plain(value.strip().strip("\"'`")) == _plain(key)


def words_of_name(key: str) -> List[str]:
    """ADMIN, PASSWORD of ADMIN_PASSWORD2; camel case is taken apart as well."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)
    return [word for word in re.split(r"[^A-Z]+", apart.upper()) if word]


def _plain(text: str) -> str:
    return re.sub(r"[\s_.-]+", "_", text.lower()).strip("_!?:[](){}<>")
