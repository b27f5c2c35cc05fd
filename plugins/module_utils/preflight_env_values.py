# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What can be told of a key by its name and of a value by itself: is it a secret, a placeholder, too weak?

Nothing here says what a value is; the answers are names of cases.
"""

from __future__ import annotations

import re
from typing import FrozenSet, Iterable, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

PASSWORD_LENGTH, TOKEN_LENGTH = 12, 16
# What is left of a value without words, sequences and repetitions must still be this long.
_LEFT = 7
_FEWEST_CHARACTERS = 5
_DIGITS_ALONE = 20
# More than this of a value need not be looked at to tell.
_LOOKED_AT = 1024

_PASSWORDS = frozenset("PASSWORD PASSWD PASS PWD PASSPHRASE PASSCODE PW".split())
_TOKENS = frozenset("SECRET SECRETS TOKEN APIKEY APITOKEN APISECRET CREDENTIAL CREDENTIALS CREDS ACCESSKEY SECRETKEY "
                    "PRIVATEKEY AUTHKEY PEPPER".split())
_KEYS = frozenset("API ACCESS SECRET PRIVATE ENCRYPTION ENCRYPT SIGNING SIGNATURE MASTER AUTH JWT HMAC SESSION COOKIE "
                  "CRYPT CIPHER SHARED WEBHOOK APP SERVICE AUTHORIZATION STORAGE".split())
# With one of these at the end a key says something about a secret, or where it is, and is none.
_ABOUT = frozenset("""
    USER USERS USERNAME LOGIN ID IDS FILE FILES PATH DIR DIRECTORY FOLDER URL URLS URI ENDPOINT HOST HOSTNAME PORT
    NAME NAMES LIMIT LIMITS LENGTH MIN MAX MINIMUM MAXIMUM TTL EXPIRE EXPIRES EXPIRY EXPIRATION LIFETIME TIMEOUT
    ENABLED ENABLE DISABLED DISABLE COUNT ALGORITHM ALGO ALG TYPE POLICY HEADER HEADERS ROUNDS AGE DAYS HOURS MINUTES
    SECONDS MS SIZE REGION VERSION ISSUER AUDIENCE PREFIX SUFFIX REQUIRED RESET MODE ROTATION BUDGET WINDOW USAGE
    PRICE COST MODEL SCOPE SCOPES INTERVAL PROVIDER BACKEND DRIVER STRATEGY COMMAND CMD FORMAT ENCODING PATTERN REGEX
    RETRIES ATTEMPTS HINT ARN STORE MANAGER THROUGH COMPLEXITY HISTORY AUTHENTICATION AUTH CHANGE CHANGED THRESHOLD
    RATE BYTES LABEL TITLE""".split())
_FORMS = ("URLENCODED", "ENCODED", "BASE64", "B", "OLD", "NEW", "CURRENT", "PREVIOUS")
_USERS = ("USER", "USERNAME", "LOGIN", "USER_NAME", "EMAIL", "ROLE")

_MUST_CHANGE = tuple("""changeme change-me change_me changeit changethis change_this change-this replaceme replace_me
    replace-me replace_with replace-with replacewith fill_me fill-me fillme fill_in fill-in placeholder your_ your-
    yourpassword yoursecret yourtoken yourkey yourapikey insert_ insert- _goes_here -goes-here put_your enter_your
    edit_me set_me set-me setme_ to_be_ to-be- xxxxxx do_not_use do-not-use""".split())
_STUB = re.compile(r"(todo|tbd|tba|fixme|dummy|xxx+|\.\.\.+|…+|\?\?+|\*\*\*+)\Z")
_WRAPPED = re.compile(r"(<[\w .,:/'-]+>|\{\{.*\}\}|\{%.*%\}|\[[A-Za-z_ -]+\]|\$\{\w+[^{}]*\}|\$\(.*\)|%[A-Za-z_]+%"
                      r"|__[A-Za-z_]+__|@@?[A-Za-z_]+@@?|\{[A-Za-z_ -]+\})\Z", re.DOTALL)
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
    notset noset notused unused disabled false true yes no off on x xx xxx abc""".split())
_FILLERS = frozenset("""
    a an the my me our this that it in is to be of for with and or not please must should set me real strong random
    secure secured safe very super long short new old own some any one value string api access private public shared
    client server service app application webhook hook auth jwt session encryption encrypt db database postgres
    postgresql mysql redis mongo grafana prometheus n8n dashboard discord slack telegram openai anthropic claude gpt
    upbit binance aws gcp azure google github prod production dev development local staging live sandbox basic login
    id name before after use using deploy deployment production generated generate chars characters char character min
    minimum bytes hex base64 at least from vault sk pk ant proj v1 v2""".split())

_COMMON_WORDS = tuple("""
    password passwd passwort passw0rd passcode secret admin administrator root user username login welcome letmein
    qwerty qwertz azerty dragon monkey iloveyou master sunshine princess football baseball shadow superman batman
    trustno hello freedom whatever docker compose postgres postgresql redis grafana prometheus mysql mariadb mongo
    mongodb database server service default test testing demo example sample changeme change temp temporary token
    apikey access private public webhook dashboard bitcoin crypto upbit binance trading trade linux ubuntu oracle
    cloud google summer winter spring autumn korea seoul secure security manager guest backup system company internet
    computer samsung qlalfqjsgh tkfkdgo dkssud rhksflwk""".split())
_COMMON = frozenset("""
    123456 password 12345678 qwerty 123456789 12345 1234 111111 1234567 dragon 123123 baseball abc123 football monkey
    letmein shadow master 666666 qwertyuiop 123321 mustang 1234567890 michael 654321 superman 1qaz2wsx 7777777 121212
    000000 qazwsx 123qwe killer trustno1 jordan jennifer zxcvbnm asdfgh hunter buster soccer harley batman andrew
    tigger sunshine iloveyou 2000 charlie robert thomas hockey ranger daniel starwars klaster 112233 george computer
    michelle jessica pepper 1111 zxcvbn 555555 11111111 131313 freedom 777777 pass maggie 159753 aaaaaa ginger
    princess joshua cheese amanda summer love ashley nicole chelsea biteme matthew access yankees 987654321 dallas
    austin thunder taylor matrix admin root postgres redis grafana toor passw0rd password1 password123 admin123
    root123 welcome welcome1 changeme secret test guest qwerty123 1q2w3e4r 1q2w3e4r5t q1w2e3r4 qwer1234 asdf1234
    zaq12wsx p@ssw0rd p@ssword letmein1 iloveyou1 qwe123 a123456 123456a 1qazxsw2 correcthorsebatterystaple minioadmin
    rabbitmq guest123 hunter2 prom-operator""".split())
_ROWS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1q2w3e4r5t6y7u8i9o0p",
         "1qaz2wsx3edc4rfv5tgb6yhn", "qazwsxedcrfvtgbyhnujm", "!@#$%^&*()")
_FOLDED = str.maketrans("@4310$5!7", "aaeioss" + "it")
_USERINFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#\s@:]*):([^\s]+)@[^@\s]*\Z")


class Weakness(NamedTuple):
    """Why a value is too weak; ``minimum`` for one that is too short."""

    case: str
    minimum: int = 0


def is_secret(key: str) -> bool:
    """Whether a key of this name holds a secret."""
    return kind(key) is not None


def kind(key: str) -> Optional[str]:
    """password, token, or None for what is no secret: DB_PASSWORD, N8N_WEBHOOK_SECRET, but not TOKEN_LIMIT."""
    words = _words_of_name(key)
    while len(words) > 1 and words[-1] in _FORMS:
        words.pop()
    if not words or words[-1] in _ABOUT or re.fullmatch(r"(.*_)?PUBLIC_KEY", "_".join(words)):
        return None
    for at, word in enumerate(words):
        if word in _PASSWORDS or re.search("(PASSWORD|PASSWD|PASSPHRASE)$", word):
            return "password"
        if word in _TOKENS or re.search("[A-Z](APIKEY|SECRET|TOKEN)$", word):
            return "token"
        if word in ("KEY", "KEYS") and at and words[at - 1] in _KEYS:
            return "token"
    return None


def is_user(key: str) -> bool:
    return any(key.upper() == ending or key.upper().endswith("_" + ending) for ending in _USERS)


def stem(key: str) -> str:
    """What a user's key and its password's have in common: GRAFANA_ADMIN of GRAFANA_ADMIN_USER and …_PASSWORD."""
    return re.sub(r"(^|_)(USER_?NAME|USER|LOGIN|EMAIL|ROLE|PASSWORD|PASSWD|PASS|PWD|PW)$", "", key.upper())


def _words_of_name(key: str) -> List[str]:
    """PASSWORD, ADMIN, 2 of ADMIN_PASSWORD2; camel case is taken apart as well."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)
    return [word for word in re.split(r"[^A-Z]+", apart.upper()) if word]


def is_request(value: str) -> bool:
    """Whether a value plainly asks to be replaced; no setting of any kind looks like that."""
    text = value.strip().strip("'\"").strip()[:_LOOKED_AT]
    lower = text.lower()
    if _WRAPPED.match(text) or _KOREAN_REQUEST.search(text):
        return True
    return bool(_STUB.match(lower)) or any(word in lower for word in _MUST_CHANGE)


def is_placeholder(value: str, key: str = "") -> bool:
    """Whether a secret's value is one that someone still has to fill in. Values that were made at random are not."""
    text = value.strip().strip("'\"“”‘’").strip()[:_LOOKED_AT]
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
    own = {word.lower() for word in _words_of_name(key)}
    telling = [word for word in words if word in _PLACEHOLDERS]
    known = own | _PLACEHOLDERS | _FILLERS
    if all(word in known or word.isdigit() and len(word) <= 4 for word in words):
        return bool(telling) or all(word in own for word in words)
    return "".join(words) in _PLACEHOLDERS


def weakness(value: str, sort: str, names: Iterable[str] = ()) -> Optional[Weakness]:
    """Why a secret is too easy to guess, or None. ``names``: what an attacker knows anyway (user, stack, key)."""
    minimum = PASSWORD_LENGTH if sort == "password" else TOKEN_LENGTH
    lower = _lower(value.strip()[:_LOOKED_AT])
    if lower in _COMMON or lower.translate(_FOLDED) in _COMMON:
        return Weakness("common")
    if lower in {name.lower() for name in names}:
        return Weakness("named")
    if len(value) < minimum:
        return Weakness("short", minimum)
    if len(set(lower)) < _FEWEST_CHARACTERS or _repeats(lower):
        return Weakness("repeated")
    if re.fullmatch(r"[\d\s./:+-]+", lower) and sum(character.isdigit() for character in lower) < _DIGITS_ALONE:
        return Weakness("digits")
    return _pieces(lower, names)


def _pieces(lower: str, names: Iterable[str]) -> Optional[Weakness]:
    """Strikes out known words, names and sequences, and looks at how much is left."""
    struck = [False] * len(lower)
    for case, spans in (("sequence", list(_sequences(lower))), ("words", _found(lower, _COMMON_WORDS)),
                        ("named", _found(lower, names))):
        for start, end in spans:
            struck[start:end] = [True] * (end - start)
        if struck.count(False) < _LEFT:
            return Weakness(case)
    return None


def _found(lower: str, words: Iterable[str]) -> List[Tuple[int, int]]:
    folded = lower.translate(_FOLDED)
    spans = []
    for word in {_lower(word) for word in words if len(word) >= 4}:
        for text in (lower, folded):
            if word in text:
                spans += [match.span() for match in re.finditer(re.escape(word), text)]
    return spans


def _sequences(lower: str) -> Iterable[Tuple[int, int]]:
    """Runs along the alphabet, the digits or a keyboard, of four or more; the same character three times; years."""
    for row in _ROWS:
        for text in (row, row[::-1]):
            start = 0
            while start < len(lower):
                length = 1
                while start + length < len(lower) and lower[start:start + length + 1] in text:
                    length += 1
                if length >= 4:
                    yield start + 1, start + length
                start += length
    for match in re.finditer(r"(.)\1{2,}", lower, re.DOTALL):
        yield match.start() + 1, match.end()
    for match in re.finditer(r"(19|20)\d\d((0[1-9]|1[0-2])([0-2]\d|3[01]))?", lower):
        yield match.span()


def _repeats(text: str) -> bool:
    """Whether the whole is a part shorter than what must be left, over and over."""
    return any(text[length:] == text[:-length] for length in range(1, _LEFT))


def _lower(text: str) -> str:
    """Lower case, character by character, so that places stay where they are."""
    return "".join(low if len(low) == 1 else character for character, low in ((one, one.lower()) for one in text))


def url_login(value: str) -> Optional[Tuple[str, str]]:
    """User and password of a value that is a URL with both, decoded."""
    match = _USERINFO.match(value) if len(value) <= _LOOKED_AT else None
    return (unquote(match.group(1)), unquote(match.group(2))) if match else None


def is_broken_url(value: str) -> bool:
    """Whether a value is a URL with user and password that programs take apart at another place than was meant."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]*@", value):
        return False
    try:
        parts = urlsplit(value)
        return parts.netloc.count("@") > 1 or ("," not in parts.netloc and parts.port == 0)
    except ValueError:
        return True


def names_of(*texts: str) -> FrozenSet[str]:
    """The words of names, long enough to be recognised inside of a value, and the names as they stand."""
    words = {word for text in texts for word in re.split(r"[^0-9A-Za-z]+", text) if len(word) >= 3}
    return frozenset(words | {text for text in texts if text})
