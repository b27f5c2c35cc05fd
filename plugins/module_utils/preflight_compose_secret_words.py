# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the name of a setting, a value or a text has to look like to be taken for a secret."""

from __future__ import annotations

import functools
import math
import re
from typing import Iterator, NamedTuple, Optional, Tuple

from .findings import Text
from .preflight_compose_variables import VARIABLE

_SECRET = {"PASSWORD", "PASSWORDS", "PASSWD", "PASS", "PWD", "PW", "PSW", "PASSPHRASE", "PASSCODE", "SECRET", "SECRETS",
           "TOKEN", "TOKENS", "APIKEY", "CREDENTIAL", "CREDENTIALS", "CREDS", "MNEMONIC", "PEPPER", "MASTERAUTH",
           "REQUIREPASS", "SECRETKEY", "ACCESSKEY", "PRIVATEKEY", "ENCRYPTIONKEY"}
_SECRET_END = re.compile(r".+(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|APIKEY|(?<!BY)(?<!COM)(?<!SUR)PASS)\Z")
# KEY alone says little: the word before it has to.
_KEYS = {"API", "ACCESS", "SECRET", "PRIVATE", "ENCRYPTION", "ENCRYPT", "SIGNING", "SIGNATURE", "MASTER", "AUTH", "JWT",
         "FERNET", "HMAC", "AES", "UNSEAL", "LICENSE", "SESSION", "SHARED", "ADMIN", "SERVICE", "ROLE", "STORAGE",
         "ACCOUNT", "WEBHOOK", "DEPLOY", "SSH"}
# What follows a secret's name in the name of a setting about it.
_ABOUT = {
    "ADDR", "ADDRESS", "AGE", "ALGO", "ALGORITHM", "ASK", "ATTEMPTS", "AUDIENCE", "AUTHENTICATION", "AUTHENTICATOR",
    "BACKEND", "BALANCE", "BITS", "BUCKET", "BUDGET", "BURST", "BYTES", "CACHE", "CASE", "CHANGE", "CHARS",
    "CHARSET", "CHECK", "CLAIM", "CLASS", "COLUMN", "COMMAND", "COMPLEXITY", "CONTRACT", "COOKIE", "COST", "COUNT",
    "DAYS", "DECIMALS", "DIR", "DIRECTORY", "DISABLED", "DOMAIN", "DURATION", "ENABLED", "ENCODER", "ENCODING",
    "ENCRYPTION", "ENDPOINT", "ENGINE", "ENV", "EXPIRATION", "EXPIRE", "EXPIRES", "EXPIRY", "FIELD", "FILE",
    "FILENAME", "FILENAMES", "FLOW", "FORMAT", "GENERATION", "GRANT", "HANDLER", "HASHER", "HASHERS", "HASHING",
    "HEADER", "HEADERS", "HIDE", "HINT", "HISTORY", "HOST", "HOURS", "ID", "IDS", "INTERVAL", "ISSUER",
    "ITERATIONS", "KIND", "LABEL", "LEEWAY", "LEN", "LENGTH", "LENGTHS", "LEVEL", "LIFETIME", "LIMIT", "LIMITS",
    "LOCATION", "LOGIN", "MANAGER", "MASK", "MAX", "METHOD", "METHODS", "MIN", "MINUTES", "MODE", "MODEL", "MOUNT",
    "MS", "NAME", "NAMES", "NAMESPACE", "NUMBER", "PAIR", "PARAM", "PATH", "PATTERN", "PER", "PERIOD", "PERMISSION",
    "PERMISSIONS", "PLACEHOLDER", "POLICY", "PORT", "PREFIX", "PRICE", "PROMPT", "PROVIDER", "PROVIDERS", "QUEUE",
    "QUOTA", "RATE", "REALM", "REF", "REGEX", "REGION", "REQUIRED", "REQUIREMENTS", "RESET", "RETENTION",
    "ROTATION", "ROUNDS", "RULES", "SAMESITE", "SCOPE", "SCOPES", "SEC", "SECONDS", "SECS", "SECURE", "SERIALIZER",
    "SERVER", "SERVICE", "SHOW", "SIZE", "SKEW", "SOURCE", "STANDARD", "STDIN", "STORE", "STRATEGY", "STRENGTH",
    "SUFFIX", "SUPPLY", "SYMBOL", "TABLE", "TEMPLATE", "THRESHOLD", "THROUGH", "TIME", "TIMEOUT", "TOPIC", "TTL",
    "TYPE", "TYPES", "URI", "URL", "USER", "USERNAME", "USERSFILE", "VALIDATION", "VALIDITY", "VERIFICATION",
    "VERIFY", "VERSION", "VISIBLE", "WINDOW",
}
_PLAIN = {"PUBLIC", "PUBLISHABLE", "PUB", "SITE", "MIN", "MAX", "NUM", "NO", "ASK", "PROMPT"}
_ORDINARY = {"", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "undefined", "disabled", "enabled",
             "optional", "required", "auto", "0", "1", "env", "file", "vault", "bearer", "basic", "header", "cookie",
             "include", "omit", "same-origin"}
_PATH = re.compile(r"(file://)?(\.{0,2}|~|[A-Za-z]:)/(?:[\w.@+-]+/)*[\w.@+-]*\Z")
_ROOTS = ("/run/", "/etc/", "/var/", "/home/", "/opt/", "/app", "/data", "/mnt/", "/usr/", "/tmp", "/secrets", "/certs",
          "/vault", "/root", "/srv/", "/config", "/dev/", "/keys", "/ssl", "/private", "./", "../", "~/", "file://")
_HASH = re.compile(r"\$(2[abxy]|argon2\w*|apr1|5|6|y|scrypt|pbkdf2[\w-]*)\$|\{(SHA|SSHA|CRYPT)\}|"
                   r"(pbkdf2|scrypt|argon2|bcrypt|sha1:|SCRAM-SHA-256\$)")
_ELSEWHERE = re.compile(r"(\$__(file|env|vault)\{|\{\{|%[(s{A-Z]|vault:|op://|ssm://|arn:aws|projects/[^/]+/secrets/|"
                        r"(os|process|self|args|config|settings|env|ENV|sys)[.(\[]|getenv)")
_USER_AND = re.compile(r"[A-Za-z0-9_.@-]+[:/][^\s:/]{3,}\Z")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"'?#]*:([^\s/@\"']+)@")
# As Go's database drivers take it.
_GO_ADDRESS = re.compile(r"(?:^|[\s\"'=])[^\s:/@\"'=]+:([^\s@\"']+)@(?:tcp6?|udp|unix)?\(")
_ASSIGNMENT = re.compile(r"(?<![\w$.{-])-{0,2}([A-Za-z][\w.-]{0,80})[\"']?[ \t]*[=:]"
                         r"(?=[ \t]*[\"']?([^\s\"',;&|)}\]]+))")
_OPTION = re.compile(r"(?<!\S)--?([A-Za-z][\w-]{2,80})[ \t]+[\"']?([^\s\"'-][^\s\"']*)")
_LINE = re.compile(r"^[ \t]*(requirepass|masterauth)[ \t]+[\"']?([^\s\"']+)", re.MULTILINE)
_COMMANDS = (
    ("redis-cli -a", re.compile(r"redis-cli\b[^|;&]{0,400}?\s-a[ \t]*[\"']?([^\s\"'|;&-][^\s\"'|;&]*)")),
    ("mysql -p",
     re.compile(r"(?:mysql|mariadb)(?:-?(?:admin|dump|check|show))?\b[^|;&]{0,400}?\s-p[\"']?([^\s\"'|;&]+)")),
    ("curl -u",
     re.compile(r"(?:curl|wget|http)\b[^|;&]{0,400}?\s(?:-[A-Za-z]*u|--user)[ =]*[\"']?[^\s:\"']+:([^\s\"']+)")),
    ("mongosh -p",
     re.compile(r"mongo(?:sh|dump|restore|export|import)?\b[^|;&]{0,400}?\s-p[ \t]*[\"']?([^\s\"'|;&-][^\s\"'|;&]*)")),
    ("sshpass -p", re.compile(r"sshpass\s+-p[ \t]*[\"']?([^\s\"']+)")),
    ("SQL", re.compile(r"\b(?:PASSWORD|IDENTIFIED\s+BY)\s+'([^']+)'", re.I)),
    ("Authorization", re.compile(r"Authorization[\"']?\s*[:=]\s*[\"']?(?:Bearer|Basic|Token)\s+([^\s\"']{6,})", re.I)),
    ("Authorization", re.compile(r"\A(?:Bearer|Basic|Token)\s+(?=\S*\d)([^\s\"']{12,})\Z")),
)
_TOKENS: Tuple[Tuple[Text, "re.Pattern[str]"], ...] = (
    (Text("a private key", "개인 키"), re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    (Text("a GitHub token", "GitHub 토큰"), re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})")),
    (Text("a GitLab token", "GitLab 토큰"), re.compile(r"\bglpat-[\w-]{20,}")),
    (Text("a Slack token", "Slack 토큰"), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    (Text("a webhook address", "웹훅 주소"),
     re.compile(r"discord(app)?\.com/api/(v\d+/)?webhooks/\d{5,}/[\w-]{10,}|"
                r"hooks\.slack\.com/services/T\w+/B\w+/\w{8,}")),
    (Text("an API key", "API 키"),
     re.compile(r"\bsk-(ant-|proj-|or-)?[A-Za-z0-9_-]{20,}|\bAIza[\w-]{35}|\b[sr]k_(live|test)_[A-Za-z0-9]{16,}|"
                r"\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhf_[A-Za-z0-9]{30,}|\bnpm_[A-Za-z0-9]{36}|\bdckr_pat_[\w-]{20,}|"
                r"\bglsa_\w{30,}|\bdop_v1_[0-9a-f]{64}|\bGOCSPX-[\w-]{20,}|\bhvs\.[\w-]{20,}|\b(AKIA|ASIA)[0-9A-Z]{16}\b|"
                r"\bpypi-[\w-]{50,}|\bgsk_[A-Za-z0-9]{40,}|\bxai-[A-Za-z0-9]{40,}")),
    (Text("a Telegram bot token", "Telegram 봇 토큰"), re.compile(r"(?<!\d)\d{8,10}:[A-Za-z0-9_-]{35}(?![\w-])")),
    (Text("a signed token (JWT)", "서명된 토큰(JWT)"), re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
)


class Hit(NamedTuple):
    """A secret in a text: the case of compose-secret-literal, the name it stands under, and what it is."""

    case: str
    name: str
    kind: Text = Text("", "")


@functools.lru_cache(maxsize=4096)
def name_words(name: str) -> Tuple[str, ...]:
    """clientSecret, client-secret and CLIENT_SECRET are the same words."""
    humped = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return tuple(word.upper() for word in re.split(r"[^A-Za-z0-9]+", humped) if word)


@functools.lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret, and not something about one."""
    words = name_words(name)
    if not words or words[-1] in _ABOUT or _PLAIN & set(words) or name in ("PWD", "OLDPWD"):
        return False
    if any(word in _SECRET or _SECRET_END.match(word) for word in words):
        return True
    return any(word == "KEY" and before in _KEYS for before, word in zip(words, words[1:]))


def is_secret(name: str, value: str) -> bool:
    """Whether a literal value under this name is a secret. A value with a variable in it is none of its own."""
    text = value.strip().strip("\"'").strip()
    if VARIABLE in text or text.lower() in _ORDINARY or _is_elsewhere(text):
        return False
    words = name_words(name)
    if names_secret(name):
        # A token may be a coin, too, or be counted.
        is_coin = words[-1] == "TOKEN" and re.match(r"([0-9]{1,7}|[A-Z]{2,6})\Z", text)
        return not is_coin and (words[-1] != "TOKENS" or is_random(text))
    if not words or words[-1] in _ABOUT or _PLAIN & set(words):
        return False
    if words[-1] in ("AUTH", "BASICAUTH"):
        return is_random(text) or bool({"NEO4J", "BASIC", "BASICAUTH", "HTTP"} & set(words) and _USER_AND.match(text))
    return words[-1] in ("KEY", "KEYS", "SALT", "SEED", "JWT") and is_random(text)


def is_random(text: str) -> bool:
    """Long, of letters and digits, and hardly any of them twice: nobody's word."""
    if len(text) < 16 or re.search(r"[\s\\]|://", text) or not re.search(r"\d.*[A-Za-z]|[A-Za-z].*\d", text):
        return False
    return -sum(text.count(c) / len(text) * math.log2(text.count(c) / len(text)) for c in set(text)) > 3.0


def address_password(text: str) -> bool:
    """Whether an address in the text has a literal password."""
    return any(VARIABLE not in password and not _is_elsewhere(password)
               for pattern in (_ADDRESS, _GO_ADDRESS) for password in pattern.findall(text))


def token(text: str) -> Optional[Text]:
    """What kind of well-known secret is in the text."""
    # None is shorter than this.
    return next((kind for kind, pattern in _TOKENS if pattern.search(text)), None) if len(text) >= 16 else None


def assignments(text: str) -> Iterator[str]:
    """Names under which a text (a command, a file) hands over secrets."""
    for pattern in (_ASSIGNMENT, _OPTION, _LINE):
        for name, value in pattern.findall(text):
            # With a bracket it is a program's own expression.
            if names_secret(name) and not re.search(r"[\[(]", value) and is_secret(name, value):
                yield name
    for name, command in _COMMANDS:
        if any(VARIABLE not in value and not _is_elsewhere(value) for value in command.findall(text)):
            yield name


def _is_elsewhere(text: str) -> bool:
    """A path, a hash, or a name for a secret that is kept somewhere else."""
    is_path = _PATH.match(text) and (text.startswith(_ROOTS) or re.search(r"\.\w{2,4}\Z", text))
    return bool(is_path or _HASH.match(text) or _ELSEWHERE.match(text))
