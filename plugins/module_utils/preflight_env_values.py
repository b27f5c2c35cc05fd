# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What can be told of a key by its name and of a value by itself: is it a secret, is it too weak?

Nothing here says what a value is; the answers are names of cases.
"""

from __future__ import annotations

import re
from typing import FrozenSet, Iterable, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

from .placeholder import words_of_name

PASSWORD_LENGTH, TOKEN_LENGTH = 12, 16
# What is left of a value without words, sequences and repetitions must still be this long.
_LEFT = 7
_FEWEST_CHARACTERS = 5
_DIGITS_ALONE = 20
# More than this of a value need not be looked at to tell.
_LOOKED_AT = 1024

_PASSWORDS = frozenset("PASSWORD PASSWD PASS PWD PASSPHRASE PASSCODE PW PSW PSWD".split())
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
# Logins at others' servers, which not every installation has; and what our own programs tell friend from foe by.
_OF_OTHERS = frozenset("SMTP MAIL EMAIL PROXY".split())
_GUARD = re.compile(r"(ENCRYPTION|SIGNING|JWT|HMAC|SESSION|COOKIE|WEBHOOK|N8N|APP|DJANGO|FLASK)_(SECRET|KEY)(_KEY)?\Z|"
                    r"\ASECRET_KEY\Z")
_FORMS = ("URLENCODED", "ENCODED", "BASE64", "B", "OLD", "NEW", "CURRENT", "PREVIOUS")
_USERS = ("USER", "USERNAME", "LOGIN", "USER_NAME", "EMAIL", "ROLE")

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
    words = words_of_name(key)
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


def guards(key: str) -> bool:
    """Whether everyone is let in where this is empty; a key to what others offer may be left out."""
    words = words_of_name(key)
    if _OF_OTHERS & set(words):
        return False
    return kind(key) == "password" or (is_secret(key) and bool(_GUARD.search("_".join(words))))


def is_user(key: str) -> bool:
    return any(key.upper() == ending or key.upper().endswith("_" + ending) for ending in _USERS)


def stem(key: str) -> str:
    """What a user's key and its password's have in common: GRAFANA_ADMIN of GRAFANA_ADMIN_USER and …_PASSWORD."""
    return re.sub(r"(^|_)(USER_?NAME|USER|LOGIN|EMAIL|ROLE|PASSWORD|PASSWD|PASS|PWD|PW)$", "", key.upper())


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
