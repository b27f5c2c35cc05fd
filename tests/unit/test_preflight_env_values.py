"""Names of secrets, placeholders, weak values: what must be told, and what must not be held against a real secret."""

import random
import string

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import placeholder
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_env_values as values

NAMES = ("coinpilot", "grafana")


PASSWORDS = """DB_PASSWORD PASSWORD PGPASSWORD DB_PASS ROOT_PASSWD REDIS_PWD BACKUP_PASSPHRASE PASSWORD2 dbPassword
    GF_SECURITY_ADMIN_PASSWORD DB_PASSWORD_URLENCODED N8N_BASIC_AUTH_PASSWORD POSTGRES_PASSWORD_OLD""".split()
TOKENS = """UPBIT_ACCESS_KEY UPBIT_SECRET_KEY N8N_WEBHOOK_SECRET OPENAI_API_KEY DISCORD_TOKEN JWT_SECRET SECRET_KEY_BASE
    N8N_ENCRYPTION_KEY AWS_SECRET_ACCESS_KEY SSH_PRIVATE_KEY openaiApiKey GCP_CREDENTIALS CLIENTSECRET TLS_KEY_SECRET
    SECRET_KEY_BASE COINPILOT_API_SHARED_SECRET BOT_TOKEN_BASE64""".split()
NEITHER = """TOKEN_LIMIT PASSWORD_MIN_LENGTH MAX_TOKENS DB_USER POSTGRES_PASSWORD_FILE AWS_ACCESS_KEY_ID
    TOKEN_URL PUBLIC_KEY SSH_PUBLIC_KEY BYPASS COMPASS PASSPORT KEYCLOAK_HOST TOKENIZER SECRET_NAME
    JWT_SECRET_PATH TOKEN_TTL MY_OWN_KEY GRAFANA_ADMIN_USER DISCORD_WEBHOOK_URL PASSWORD_RESET_ENABLED
    TZ LLM_MODEL KEY MONKEY""".split()


@pytest.mark.parametrize(("key", "kind"), [*((key, "password") for key in PASSWORDS), *((key,
                                                                                         "token") for key in TOKENS),
                                           *((key, None) for key in NEITHER)])
def test_what_is_a_secret_by_its_name(key: str, kind: str | None) -> None:
    assert values.kind(key) == kind


@pytest.mark.parametrize("value", [
    "changeme", "CHANGE_ME", "Change-Me", "changeme123!", "change.me", "please-change", "your_password_here",
    "your-key-here",
    "YOUR_API_KEY", "PutYourKeyHere", "enter api key", "insert-key", "replace_me", "<your key>", "<PASSWORD>",
    "{{ db_password }}",
    "${DB_PASSWORD}", "__DB_PASSWORD__", "[secret]", "%PASSWORD%", "xxx", "XXXX-XXXX-XXXX", "****", "••••••", "...",
    "???", "-",
    "sk-...", "sk-xxxxxxxx", "sk-your-key", "sk-ant-api03-xxxx", "Bearer xxxxxx", "ghp_xxxxxxxxxxxx", "todo", "TBD",
    "FIXME",
    "example", "dummy", "placeholder", "test", "test123", "TestPassword1", "password", "secret", "token", "admin",
    "null", "None",
    "N/A", "undefined", "foobar", "my-secret-password", "super-secret-admin-password", "dev-secret", "local_password",
    "upbit-access-key", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", '"changeme"', " changeme ",
    "여기에", "비밀번호", "임시비밀번호", "비밀번호1234", "여기에 비밀번호를 입력하세요", "비밀번호를 변경하세요",
    "<비밀번호>", "테스트", "키를 넣으세요",
])
def test_placeholders(value: str) -> None:
    assert placeholder.is_placeholder(value, "UPBIT_ACCESS_KEY")


@pytest.mark.parametrize("value", [
    "changeme", "CHANGE_ME", "<domain>", "{{ domain }}", "your-domain.example", "replace_with_url", "여기에 주소 입력",
    "TODO", "***", "https://host/xxxxxx",
])
def test_what_asks_to_be_replaced_even_as_a_setting(value: str) -> None:
    assert placeholder.is_request(value)


@pytest.mark.parametrize("value", [
    "test", "none", "null", "example.com", "dev", "production", "password", "true", "0", "admin", "*", "gpt-test", "-1",
    "/var/lib/x", "https://x.example/insert-coin?n=to-be-continued", "changelog",
    "https://example.com/hook", "Asia/Seoul", "for collector, bot and dashboard", "[1, 2]", "비밀",
])
def test_settings_are_not_held_to_be_requests(value: str) -> None:
    assert not placeholder.is_request(value)


@pytest.mark.parametrize(("value", "kind", "case"), [
    ("", "password", "short"),
    ("Xk9$vT2!pQz", "password", "short"),
    ("Xk9$vT2!pQzw", "token", "short"),
    ("qwerty123", "password", "common"),
    ("P@ssw0rd", "password", "common"),
    ("minioadmin", "password", "common"),
    ("hunter2", "token", "common"),
    ("coinpilot", "password", "named"),
    ("coinpilot-2024-secret", "password", "named"),
    ("Grafana!Grafana1", "token", "words"),
    ("aaaaaaaaaaaaaaaa", "password", "repeated"),
    ("abababababababab", "token", "repeated"),
    ("abc12abc12abc12a", "token", "repeated"),
    ("1112223334445556", "password", "digits"),
    ("010-1234-5678-90", "password", "digits"),
    ("2024-11-23 12:00", "password", "digits"),
    ("abcdefghijklmnop", "token", "sequence"),
    ("qwertyuiop1234!!", "password", "sequence"),
    ("1q2w3e4r5t6y7u8i", "token", "sequence"),
    ("zxcvbnmasdfghjkl", "token", "sequence"),
    ("P@ssw0rd!2024", "password", "words"),
    ("AdminDashboard2024!", "token", "words"),
    ("tkfkdgotkfkdgo99", "password", "repeated"),
])
def test_weak_values(value: str, kind: str, case: str) -> None:
    weakness = values.weakness(value, kind, NAMES)
    assert weakness is not None
    if case != "repeated":
        assert weakness.case == case


@pytest.mark.parametrize("value", [
    "correct-horse-battery-staple", "tr0ub4dor&3-xyzq", "it's a \\' quoted \\\\ one", "열쇠=값;|&<>*?[]{}~!^",
    "  spaces on both ends  ",
    "%25 {{ no_jinja }} {% raw %}", "#starts-with-a-hash-and-has-32-chars", "d41d8cd98f00b204e9800998ecf8427e",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "sk-ant-api03-q7Zt1Vd0bK4mWc9XyR2n", "테슬라를-좋아하는-고양이-7마리",
])
def test_good_values(value: str) -> None:
    assert not placeholder.is_placeholder(value, "DB_PASSWORD")
    assert values.weakness(value, "token", NAMES) is None


def test_values_made_at_random_are_not_held_to_be_anything_else() -> None:
    source = random.Random(4)  # nosec: the same values every time
    shapes = [(string.ascii_letters + string.digits, 16), (string.hexdigits.lower()[:16], 24), (string.ascii_lowercase,
                                                                                                20),
              (string.ascii_letters + string.digits + string.punctuation, 20),
              (string.ascii_letters + string.digits + "-_", 24)]
    for _number in range(400):
        for alphabet, length in shapes:
            value = "".join(source.choice(alphabet) for _character in range(length))
            assert not placeholder.is_placeholder(value, "DB_PASSWORD"), value
            assert values.weakness(value, "token", NAMES) is None, value


@pytest.mark.parametrize(("value", "login"), [
    ("postgresql://user:p%40ss@db:5432/x", ("user", "p@ss")),
    ("redis://:secret@redis", ("", "secret")),
    ("https://example.com/a:b@c", None),
    ("https://key@sentry.io/1", None),
    ("not a url", None),
])
def test_logins_in_urls(value: str, login: tuple[str, str] | None) -> None:
    assert values.url_login(value) == login


@pytest.mark.parametrize(("value", "broken"), [
    ("postgresql://user:p%40ss@db:5432/x", False),
    ("postgresql+asyncpg://user:pass@db/x", False),
    ("mongodb://user:pass@a:1,b:2/x", False),
    ("http://user:pass@[::1]:80/", False),
    ("https://example.com/@user", False),
    ("sqlite:////var/lib/x@y.db", False),
    ("postgresql://user:p@ss@db:5432/x", True),
    ("postgresql://user:p#ss@db:5432/x", True),
    ("postgresql://user:p/ss@db:5432/x", True),
    ("postgresql://user:p?ss@db:5432/x", True),
    ("postgresql://user:p[ss@db:5432/x", True),
])
def test_broken_urls(value: str, broken: bool) -> None:
    assert values.is_broken_url(value) is broken
