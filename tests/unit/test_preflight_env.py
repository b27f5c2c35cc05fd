"""The judge of `.env`: real files in real directories, and recorded worlds where a test cannot make one."""

import dataclasses
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import dotenv, findings
from ansible_collections.coinpilot.ops.plugins.module_utils import preflight_env as env
from ansible_collections.coinpilot.ops.plugins.module_utils.findings import FAIL, PASS, UNKNOWN, WARN, Finding
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_env_git import Git
from ansible_collections.coinpilot.ops.plugins.module_utils.preflight_env_rules import RULES
from hypothesis import given
from hypothesis import strategies as st

# Made up here; they protect nothing.
ONE, TWO, THREE = "q7Zt1Vd0bK4mWc9XyR2nLs", "Hf3-uJ8p_Gx5oTe6AzN1kD", "mW2vPq9RtY7sLc4XbZ0hEj"
GOOD = f"DB_PASSWORD={ONE}\nN8N_WEBHOOK_SECRET={TWO}\nTZ=Asia/Seoul\n"
CLEAN = {"PATH": "/bin", "HOME": "/root"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that nobody else writes to; the one above it is pytest's own."""
    directory = tmp_path / "stack"
    directory.mkdir(mode=0o755)
    return directory


def write(directory: Path, text: str | bytes, name: str = ".env", mode: int = 0o600) -> Path:
    file = directory / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def judged(path: Path, required: Iterable[str] = (), resolved: dict | None = None, environ: dict | None = None,
           owner: str | None = None) -> list[Finding]:
    world = env.gather(str(path), CLEAN if environ is None else environ)
    return env.judge(world, list(required), resolved, owner)


def seen(found: Iterable[Finding]) -> list[tuple[str, str, str, int | None]]:
    """What does not pass, in order: rule, status, subject, line."""
    return sorted((one.id, one.status, one.subject, one.place.line or 0) for one in found if one.status != PASS)


def of_text(text: str | bytes, required: Iterable[str] = (), resolved: dict | None = None,
            environ: dict | None = None) -> list[tuple[str, str, str, int | None]]:
    """The findings about a file with this in it; all else is as it should be."""
    content = text if isinstance(text, bytes) else text.encode()
    world = env.World("/srv/.env", CLEAN if environ is None else environ, content=content,
                      file=env.Status("/srv/.env", "file", 0o600, "root"),
                      directories=(env.Status("/srv", "directory", 0o755, "root"),))
    return seen(env.judge(world, list(required), resolved))


def test_a_good_file_passes_every_rule(place: Path) -> None:
    found = judged(write(place, GOOD), ["DB_PASSWORD", "N8N_WEBHOOK_SECRET"], {"name": "oci", "services": {}})
    assert seen(found) == []
    assert {one.id for one in found} == set(RULES)


def test_what_this_project_writes_passes(place: Path) -> None:
    values = {"DB_PASSWORD": "p'w\"d$x${HOME} # 한글 @:/?%\\",
              "UPBIT_SECRET_KEY": 'back\\slash\\n and `ticks` $(id) $$',
              "N8N_WEBHOOK_SECRET": "#starts-with-a-hash-and-has-32-chars", "TZ": "Asia/Seoul", "EMPTY": "",
              "GRAFANA_ADMIN_USER": "coinpilot-admin", "GRAFANA_ADMIN_PASSWORD": "%25 {{ no_jinja }} {% raw %}"}
    values["DB_PASSWORD_URLENCODED"] = quote(values["DB_PASSWORD"], safe="")
    url = "postgresql://postgres:%s@db:5432/x" % values["DB_PASSWORD_URLENCODED"]
    resolved = {"name": "oci", "services": {"bot": {"environment": {"DATABASE_URL": url}}}}
    assert seen(judged(write(place, dotenv.render(values, "Written by a test.")), values.keys() - {"EMPTY"},
                       resolved)) == []


# --- the file and its place


def test_a_missing_file(place: Path) -> None:
    found = judged(place / ".env", ["DB_PASSWORD"])
    assert seen(found) == [("env-file", FAIL, "", 0)]
    assert len(found) == 1


@pytest.mark.parametrize("path", ["no/such/directory/.env", "file/.env", "\0", "", "x" * 5000, "/", "a\udcffb"])
def test_any_path_is_answered(place: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("")
    monkeypatch.chdir(place)
    found = env.judge(env.gather(path, CLEAN), ["DB_PASSWORD"])
    assert any(one.status in (FAIL, UNKNOWN) for one in found)
    assert all(one.status != PASS or one.id != "env-required" for one in found)


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket"])
def test_not_a_regular_file(place: Path, kind: str) -> None:
    file = place / ".env"
    if kind == "directory":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        os.chdir(place)
        socket.socket(socket.AF_UNIX).bind(".env")
    assert seen(judged(file)) == [("env-file", FAIL, "", 0)]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\ufeff"])
def test_an_empty_file(place: Path, text: str) -> None:
    assert ("env-file", FAIL, "", 0) in seen(judged(write(place, text)))


def test_a_file_that_is_far_too_large(place: Path) -> None:
    assert seen(judged(write(place, b"A=1\n" * 300000), ["DB_PASSWORD"])) == [("env-file", FAIL, "", 0)]


def test_what_may_not_be_read_is_unknown() -> None:
    world = env.World("/srv/.env", CLEAN, file=env.Status("/srv/.env", "file", 0o600, "root"),
                      directories=(env.Status("/srv", "directory", 0o755, "root"),),
                      errors={"content": "Permission denied", "neighbours": "Permission denied"})
    found = env.judge(world, ["DB_PASSWORD"])
    assert seen(found) == [("env-copy", UNKNOWN, "", 0), ("env-file", UNKNOWN, "", 0)]
    assert not {"env-required", "env-weak", "env-file", "env-copy"} & {one.id for one in found if one.status == PASS}
    assert findings.exit_code(found) == 3
    assert findings.exit_code(env.judge(env.World("/srv/.env", CLEAN, errors={"file": "Permission denied"}), [])) == 3


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o700, 0o000, 0o4600, 0o604, 0o200])
def test_a_mode_that_is_not_exactly_right(place: Path, mode: int) -> None:
    assert ("env-mode", FAIL, "", 0) in seen(judged(write(place, GOOD, mode=mode)))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_mode_that_is_right(place: Path, mode: int) -> None:
    assert seen(judged(write(place, GOOD, mode=mode))) == []


def test_an_access_control_list_is_named() -> None:
    world = env.World("/srv/.env", CLEAN, content=GOOD.encode(), file=env.Status("/srv/.env", "file", 0o640, "root",
                                                                                 acl=True))
    (finding,) = [one for one in env.judge(world, []) if one.status == FAIL]
    assert (finding.id, finding.fix.en) == ("env-mode", "setfacl -b /srv/.env && chmod 600 /srv/.env")


@pytest.mark.parametrize(("owner", "expected", "sudo", "fails"), [
    ("root", None, "", False), ("ubuntu", "ubuntu", "", False), ("ubuntu", None, "ubuntu", False),
    ("mallory", "ubuntu", "", True), ("ubuntu", None, "", True), ("12345", None, "", True),
])
def test_the_owner(owner: str, expected: str | None, sudo: str, fails: bool) -> None:
    trusted = ("root", sudo) if sudo else ("root",)
    world = env.World("/srv/.env", CLEAN, trusted, env.Status("/srv/.env", "file", 0o600, owner), content=GOOD.encode(),
                      directories=(env.Status("/srv", "directory", 0o755, "root"),))
    assert seen(env.judge(world, [], None, expected)) == ([("env-owner", FAIL, "", 0)] if fails else [])


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777, 0o757, 0o1770])
def test_others_can_write_to_its_directory(place: Path, mode: int) -> None:
    file = write(place, GOOD)
    place.chmod(mode)
    expected = FAIL if mode & 0o022 else PASS
    assert [one.status for one in judged(file) if one.id == "env-parent"] == [expected]


def test_others_can_write_further_up(place: Path) -> None:
    (place / "inner").mkdir(mode=0o755)
    file = write(place / "inner", GOOD)
    assert seen(judged(file)) == []
    place.chmod(0o777)
    assert seen(judged(file)) == [("env-parent", FAIL, str(place), 0)]
    place.chmod(0o1777)
    assert seen(judged(file)) == []


def test_its_directory_belongs_to_somebody_else() -> None:
    world = env.World("/home/mallory/.env", CLEAN, file=env.Status("/home/mallory/.env", "file", 0o600, "root"),
                      directories=(env.Status("/home/mallory", "directory", 0o755, "mallory"),), content=GOOD.encode())
    assert seen(env.judge(world, [])) == [("env-parent", FAIL, "/home/mallory", 0)]


def test_a_link_instead_of_the_file(place: Path) -> None:
    (place / "real").mkdir(mode=0o755)
    write(place / "real", GOOD)
    (place / ".env").symlink_to("real/.env")
    assert seen(judged(place / ".env")) == [("env-symlink", FAIL, str(place / ".env"), 0)]


@pytest.mark.parametrize("target", ["nowhere", ".env"])
def test_a_link_to_nothing(place: Path, target: str) -> None:
    (place / ".env").symlink_to(target)
    found = judged(place / ".env", ["DB_PASSWORD"])
    assert ("env-symlink", FAIL, str(place / ".env"), 0) in seen(found)
    assert "env-file" in [one.id for one in found if one.status in (FAIL, UNKNOWN)]


def test_a_link_on_the_way_of_somebody_who_is_trusted(place: Path) -> None:
    (place / "real").mkdir(mode=0o755)
    write(place / "real", GOOD)
    (place / "current").symlink_to("real")
    assert seen(judged(place / "current" / ".env")) == []


def test_a_link_on_the_way_of_somebody_else() -> None:
    world = env.World("/srv/now/.env", CLEAN, file=env.Status("/srv/a/.env", "file", 0o600, "root"),
                      content=GOOD.encode(),
                      links=(env.Status("/srv/now", "link", 0o777, "mallory"),))
    assert seen(env.judge(world, [])) == [("env-symlink", FAIL, "/srv/now", 0)]


# --- copies


@pytest.mark.parametrize("name", [
    ".env.bak", ".env~", ".env.old", ".env.save", ".env.swp", ".env.prod", ".env.production", ".env.local",
    ".env.2024-01-01",
    ".env.orig", ".env_backup", ".env-old", ".env (copy)", "#.env#", ".#.env.x", "..env-abc.new", "env.txt", "env",
    "env.bak",
    "old.env", "Copy of .env", ".env.gpg.txt", ".envrc", ".ENV.BAK", "env.prod.old",
])
def test_a_copy_beside_it(place: Path, name: str) -> None:
    file = write(place, GOOD)
    write(place, f"DB_PASSWORD={THREE}\n", name)
    found = judged(file)
    assert seen(found) == [("env-copy", FAIL, name, 0)]
    assert [one.place.file for one in found if one.status == FAIL] == [str(place / name)]


@pytest.mark.parametrize(("name", "content"), [
    (".env.example", "DB_PASSWORD=changeme\nTZ=Asia/Seoul\n"),
    (".env.sample", "DB_PASSWORD=\n"),
    (".env.template", f"DB_PASSWORD={THREE}\n"),
    (".env.prod.example", "N8N_WEBHOOK_SECRET=<secret>\n"),
    (".env.local", "TZ=UTC\nLLM_MODE=dev\n"),
    (".env.bak", ""),
    (".environment-notes", f"DB_PASSWORD={THREE}\n"),
    ("docker-compose.yml", f"# {ONE}\n"),
    ("other.env", f"DB_PASSWORD={THREE}\n"),
    ("env.py", "SECRET_TOKEN = os.environ['SECRET_TOKEN']\n"),
])
def test_what_is_no_copy(place: Path, name: str, content: str) -> None:
    file = write(place, GOOD)
    write(place, content, name)
    assert seen(judged(file)) == []


@pytest.mark.parametrize("name", [".env.example", ".env.sample", ".env.prod.template"])
def test_an_example_with_a_secret_in_use(place: Path, name: str) -> None:
    file = write(place, GOOD)
    write(place, f"# the password is {ONE}\n", name)
    assert seen(judged(file)) == [("env-copy", FAIL, name, 0)]


def test_a_swap_file_is_a_copy_whatever_stands_in_it(place: Path) -> None:
    file = write(place, GOOD)
    write(place, b"b0VIM 9.0\0\0\0", ".env.swp")
    (place / ".env.d").mkdir()
    (place / ".env.gone").symlink_to("nowhere")
    assert seen(judged(file)) == [("env-copy", FAIL, ".env.swp", 0), ("env-copy", UNKNOWN, ".env.gone", 0)]


# --- Git


def run_git(directory: Path, *arguments: str) -> None:
    git = shutil.which("git")
    assert git
    subprocess.run([git, "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main",
                    *arguments],
                   cwd=directory, check=True, capture_output=True, env={"PATH": os.environ["PATH"],
                                                                        "HOME": str(directory)})


def test_git(place: Path) -> None:
    (place / "deploy").mkdir(mode=0o755)
    file = write(place / "deploy", GOOD)
    run_git(place, "init")
    assert seen(judged(file)) == [("env-tracked", WARN, "", 0)]
    (place / ".gitignore").write_text(".env\n")
    assert seen(judged(file)) == []
    run_git(place, "add", "--force", ".")
    assert seen(judged(file)) == [("env-tracked", FAIL, "", 0)]
    run_git(place, "commit", "-m", "with it")
    run_git(place, "rm", "--cached", "deploy/.env")
    run_git(place, "commit", "-m", "without it")
    (finding,) = [one for one in judged(file) if one.status == FAIL]
    assert (finding.id, finding.seen.en) == ("env-tracked", f"was once committed in {place}; its history still has it")


def test_git_in_somebody_elses_repository(place: Path) -> None:
    file = write(place, GOOD)
    run_git(place, "init")
    if os.geteuid() != 0:
        pytest.fail("this test gives files to another user and is run by root")
    for entry in [place, *place.rglob("*")]:
        os.chown(entry, 65534, 65534)
    for directory in place.parents:
        directory.chmod(directory.stat().st_mode | 0o011)
        if directory == Path("/tmp"):
            break
    assert [one.status for one in judged(file) if one.id == "env-tracked"] == [WARN]


def test_without_git_it_is_unknown(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(place, GOOD)
    run_git(place, "init")
    monkeypatch.setenv("PATH", str(place))
    assert seen(judged(file)) == [("env-tracked", UNKNOWN, "", 0)]


@pytest.mark.parametrize("content", ["", "gitdir: nowhere\n", "nonsense\0"])
def test_a_broken_repository_is_unknown(place: Path, content: str) -> None:
    (place / ".git").write_text(content)
    assert seen(judged(write(place, GOOD))) == [("env-tracked", UNKNOWN, "", 0)]


def test_a_pattern_in_the_name_means_nothing(place: Path) -> None:
    run_git(place, "init")
    write(place, GOOD, ".env")
    run_git(place, "add", ".env")
    (place / ".gitignore").write_text("*\n")
    assert seen(judged(write(place, GOOD, ".en*"))) == []


# --- the lines


@pytest.mark.parametrize(("text", "line"), [
    ("A=1\nno way=x\n", 2), ("A=1\n\nB='open\n", 3), ("A=${x\n", 1), ("A(=1\n", 1), ("=x\n", 1), ("A=${B:?}\n", 1),
])
def test_lines_that_compose_refuses(text: str, line: int) -> None:
    assert ("env-syntax", FAIL, "", line) in of_text(text)


@pytest.mark.parametrize(("content", "status", "line"), [
    (GOOD.encode() + b"A=x\0y\n", FAIL, 4),
    (GOOD.encode() + b"A=\xff\xfe\n", FAIL, 4),
    (GOOD.encode("utf-16"), FAIL, 1),
    (GOOD.encode("euc-kr") + "이름=값\n".encode("euc-kr"), FAIL, 4),
    (("\ufeff" + GOOD).encode(), WARN, 1),
    (GOOD.replace("\n", "\r\n").encode(), WARN, 1),
    (b"A=1\rB=2\rC=3\r", FAIL, 1),
    (f"DB_PASSWORD={ONE}\u200b\n".encode(), FAIL, 1),
    (f"N8N_WEBHOOK_SECRET={ONE[:9]}\u00ad{ONE[9:]}\n".encode(), FAIL, 1),
])
def test_characters(content: bytes, status: str, line: int) -> None:
    assert [(one[1], one[3]) for one in of_text(content) if one[0] == "env-encoding"] == [(status, line)]


def test_windows_files_are_read_like_others() -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n")
    assert {one[1] for one in of_text(text, ["DB_PASSWORD", "N8N_WEBHOOK_SECRET", "TZ"])} == {WARN}


def test_of_two_the_last_counts() -> None:
    assert of_text(f"DB_PASSWORD=changeme\nDB_PASSWORD={ONE}\n") == [("env-duplicate", WARN, "DB_PASSWORD", 2)]
    assert ("env-placeholder", FAIL, "DB_PASSWORD", 2) in of_text(f"DB_PASSWORD={ONE}\nDB_PASSWORD=changeme\n")
    assert ("env-required", FAIL, "DB_PASSWORD", 2) in of_text(f"DB_PASSWORD={ONE}\nDB_PASSWORD=\n", ["DB_PASSWORD"])


@pytest.mark.parametrize(("text", "line"), [
    ("A=1\n", 0), ("DB_PASSWORD=\n", 1), ("DB_PASSWORD=''\n", 1), ('DB_PASSWORD="  "\n', 1), ("A=1\nDB_PASSWORD\n", 2),
    ("# DB_PASSWORD=x\n", 0), ("db_password=x\n", 0), ("DB_PASSWORD=${UNSET-}\n", 1),
])
def test_required_keys(text: str, line: int) -> None:
    assert ("env-required", FAIL, "DB_PASSWORD", line) in of_text(text, ["DB_PASSWORD"])


def test_a_key_that_the_compose_files_use_may_be_empty_but_not_missing() -> None:
    world = env.World("/srv/.env", CLEAN, content=b"DISCORD_URL=\nTZ=UTC\n",
                      file=env.Status("/srv/.env", "file", 0o600, "root"))
    found = env.judge(world, ["TZ"], referenced=["TZ", "DISCORD_URL", "LLM_MODE"])
    assert seen(found) == [("env-required", FAIL, "LLM_MODE", 0)]


@pytest.mark.parametrize("key", ["DB_PASSWORD", "SECRET_KEY", "N8N_ENCRYPTION_KEY", "N8N_WEBHOOK_SECRET",
                                 "APP_JWT_SECRET"])
def test_what_guards_something_may_not_be_empty(key: str) -> None:
    world = env.World("/srv/.env", CLEAN, content=f"TZ=UTC\n{key}=\n".encode(),
                      file=env.Status("/srv/.env", "file", 0o600, "root"))
    assert seen(env.judge(world, [], referenced=[key])) == [("env-required", FAIL, key, 2)]


@pytest.mark.parametrize("key", ["SMTP_PASSWORD", "TELEGRAM_BOT_TOKEN", "OPENAI_API_KEY", "UPBIT_SECRET_KEY",
                                 "OAUTH_CLIENT_SECRET", "PASSWORD_MIN_LENGTH"])
def test_a_key_to_what_others_offer_may_be_empty(key: str) -> None:
    world = env.World("/srv/.env", CLEAN, content=f"TZ=UTC\n{key}=\n".encode(),
                      file=env.Status("/srv/.env", "file", 0o600, "root"))
    assert seen(env.judge(world, [], referenced=[key])) == []


def test_the_stacks_own_project_name_counts_not_the_one_that_the_file_makes_of_it() -> None:
    world = env.World("/srv/.env", CLEAN, content=b"COMPOSE_PROJECT_NAME=new\n",
                      file=env.Status("/srv/.env", "file", 0o600, "root"))
    assert seen(env.judge(world, [], {"name": "new"})) == []
    assert seen(env.judge(world, [], {"name": "new"}, project="oci")) == [
        ("env-compose", FAIL, "COMPOSE_PROJECT_NAME", 1)]


@pytest.mark.parametrize("line", [
    f"export DB_PASSWORD={ONE}", f"DB_PASSWORD: {ONE}", f"DB_PASSWORD = {ONE}", f"DB_PASSWORD='{ONE}' # old",
    f'  DB_PASSWORD="{ONE}"  ',
    f"DB_PASSWORD={ONE} # since May", f"DB_PASSWORD='{ONE}$x #'", f'DB_PASSWORD="{ONE}\\$x"', f"DB_PASSWORD={ONE}$",
    f"A={ONE}\nDB_PASSWORD=${{A}}", f"DB_PASSWORD={ONE}#no-comment",
])
def test_ways_to_write_a_good_one(line: str) -> None:
    assert of_text(line + "\n", ["DB_PASSWORD"]) == []


# --- the values


@pytest.mark.parametrize("line", ["DB_PASSWORD=changeme", "UPBIT_ACCESS_KEY='<your key>'", "N8N_WEBHOOK_SECRET=sk-...",
                                  "X_TOKEN=여기에 입력하세요", 'DB_PASSWORD="${PASSWORD:-changeme}"',
                                  "GRAFANA_ADMIN_PASSWORD=admin",
                                  "DOMAIN=<your domain>", "N8N_URL=http://changeme:5678"])
def test_placeholders(line: str) -> None:
    key = line.split("=", 1)[0]
    assert ("env-placeholder", FAIL, key, 1) in of_text(line + "\n")


@pytest.mark.parametrize("line", ["MODE=test", "DOMAIN=example.com", "LOG_DRIVER=none", "LLM_MODE=dev",
                                  "GRAFANA_ADMIN_USER=admin",
                                  "TOKEN_LIMIT=1000", "PASSWORD_MIN_LENGTH=8", "OPTIONAL_SECRET=",
                                  "MY_OWN_KEY=for collector",
                                  "DISCORD_WEBHOOK_URL=https://discord.com/api/webhooks/123456789/abcDEF-ghi"])
def test_settings_are_left_in_peace(line: str) -> None:
    assert of_text(line + "\n", [line.split("=", 1)[0]] if "OPTIONAL" not in line else []) == []


@pytest.mark.parametrize("line", ["DB_PASSWORD=Xk9-vT2", "N8N_WEBHOOK_SECRET=Xk9-vT2.pQzw", "X_TOKEN=1234567890123456",
                                  "DB_PASSWORD=qwertyuiop123", "DB_PASSWORD=Coinpilot-2024!",
                                  "DATABASE_URL=postgres://me:Xk9-vT2@db/x",
                                  "DB_USER=trader77\nDB_PASSWORD=trader77-2024"])
def test_weak_secrets(line: str) -> None:
    last = line.splitlines()[-1]
    assert ("env-weak", FAIL, last.split("=", 1)[0], line.count("\n") + 1) in of_text(line + "\n",
                                                                                      resolved={"name": "coinpilot"})


def test_a_secret_is_known_by_what_a_service_is_given_it_as() -> None:
    resolved = {"services": {"db": {"environment": {"POSTGRES_PASSWORD": "Xk9$$vT2", "POSTGRES_USER": "trader"}}}}
    assert of_text("DBP='Xk9$vT2'\nDBU=trader\nMODE=dev\n", resolved=resolved) == [("env-weak", FAIL, "DBP", 1)]
    assert of_text("DBP='Xk9$vT2'\nDBU=trader\nMODE=dev\n") == []


def test_reused_secrets() -> None:
    assert of_text(f"DB_PASSWORD={ONE}\nA_TOKEN={TWO}\nB_TOKEN='{TWO}'\nC_TOKEN={TWO}\n") == [
        ("env-reused", FAIL, "B_TOKEN", 3), ("env-reused", FAIL, "C_TOKEN", 4)]
    encoded = f"DB_PASSWORD={ONE}\nPOSTGRES_PASSWORD=${{DB_PASSWORD}}\nDB_PASSWORD_URLENCODED={ONE}\n"
    assert of_text(encoded) == []


@pytest.mark.parametrize(("text", "resolved"), [
    ("GRAFANA_ADMIN_USER=Xk9-vT2.pQzw\nGRAFANA_ADMIN_PASSWORD=xk9-vt2.pqzw\n", None),
    ("USER=Xk9-vT2.pQzw\nPASSWORD=Xk9-vT2.pQzw\n", None),
    ("A=1\nDB_PASSWORD=Xk9-vT2.pQzw\n", {"services": {"db": {"environment": {"POSTGRES_USER": "Xk9-vT2.pQzw"}}}}),
    ("A=1\nDATABASE_URL=postgres://Xk9-vT2.pQzw:Xk9-vT2.pQzw@db/x\n", None),
])
def test_user_equal_to_password(text: str, resolved: dict | None) -> None:
    key = text.splitlines()[1].split("=", 1)[0]
    assert ("env-user-password", FAIL, key, 2) in of_text(text, resolved=resolved)


@pytest.mark.parametrize("line", [
    f"DB_PASSWORD={ONE}$word", f"DB_PASSWORD={ONE}${{word}}", f'DB_PASSWORD="{ONE}$word"', f"DB_PASSWORD={ONE}$$word",
    f"DB_PASSWORD={ONE} #word", f"DB_PASSWORD= # {ONE}", f'DB_PASSWORD="{ONE}"word', f"DB_PASSWORD='{ONE}'#word",
    f'DB_PASSWORD="{ONE}\\new"', f"DB_PASSWORD=“{ONE}”", f"DB_PASSWORD={ONE}$HOME", f"A=1\nDB_PASSWORD={ONE}$A",
    f"DB_PASSWORD='{ONE}\nB=1\nC=it'", f"DB_PASSWORD={ONE}${{HOME}}",
])
def test_what_compose_reads_is_not_what_is_written(line: str) -> None:
    number = 2 if line.startswith("A=") else 1
    assert ("env-truncated", FAIL, "DB_PASSWORD", number) in of_text(line + "\n")


@pytest.mark.parametrize("line", [
    "LLM_MODE=dev # comment", "LLM_MODE=dev #comment", "DATA=${HOME}/data", "A=1\nB=${A}-$A", "PRICE=5$$",
    'TEXT="one\\ntwo"',
    "X=${UNSET:-default}", "X=${UNSET-}",
    'SSH_PRIVATE_KEY="-----BEGIN KEY-----\\nq7Zt1Vd0bK4mWc9XyR2nLs\\n-----END KEY-----"',
    "SSH_PRIVATE_KEY='-----BEGIN KEY-----\nq7Zt1Vd0bK4mWc9XyR2nLs\n-----END KEY-----'",
])
def test_what_is_meant_is_not_held_against_it(line: str) -> None:
    assert [one for one in of_text(line + "\n") if one[0] == "env-truncated"] == []


BAD = "Xk9@vT2/pQz#wL5:rN8?sB1%"


@pytest.mark.parametrize("url", [
    "postgresql://user:%s@db:5432/x", "redis://:%s@redis:6379/0", "amqp://%s@mq",
    "https://host/?user=me&password=%s&x=1",
    "jdbc:postgresql://db/x?password=%s", "--url=postgresql://user:%s@db",
])
def test_a_value_that_breaks_the_url_it_is_put_into(url: str) -> None:
    for spelled in (BAD, BAD.replace("$", "$$")):
        resolved = {"services": {"bot": {"environment": {"URL": url % spelled}}}}
        assert of_text(f"DB_PASSWORD='{BAD}'\n", resolved=resolved) == [("env-url", FAIL, "DB_PASSWORD", 1)]
    assert of_text(f"DB_PASSWORD='{ONE}'\n", resolved={"services": {"bot": {"command": [url % ONE]}}}) == []
    encoded = {"services": {"bot": {"environment": {"URL": url % quote(BAD, safe=""), "PASSWORD": BAD}}}}
    assert of_text(f"DB_PASSWORD='{BAD}'\nDB_PASSWORD_URLENCODED={quote(BAD, safe='')}\n", resolved=encoded) == []


@pytest.mark.parametrize(("text", "key", "line"), [
    (f"DB_PASSWORD='{BAD}'\nDATABASE_URL=postgres://me:${{DB_PASSWORD}}@db/x\n", "DB_PASSWORD", 1),
    ("DATABASE_URL=postgres://me:Xk9vT2@pQzwL5rN8sB1@db/x\n", "DATABASE_URL", 1),
    (f"DB_PASSWORD='{BAD}'\nDB_PASSWORD_URLENCODED={quote(ONE)}\n", "DB_PASSWORD_URLENCODED", 2),
    (f"DB_PASSWORD='{BAD}'\nDB_PASSWORD_URLENCODED='{BAD}'\n", "DB_PASSWORD_URLENCODED", 2),
])
def test_urls_in_the_file_itself(text: str, key: str, line: int) -> None:
    assert of_text(text) == [("env-url", FAIL, key, line)]


# --- the shell, and Compose's own settings


def test_the_shell_overrides() -> None:
    text = f"DB_PASSWORD={ONE}\nTZ=Asia/Seoul\nLLM_MODE=dev\nA_TOKEN={TWO}\n"
    shell = {**CLEAN, "DB_PASSWORD": THREE, "TZ": "UTC", "LLM_MODE": "dev", "A_TOKEN": TWO}
    assert of_text(text, environ=shell) == [("env-shell", FAIL, "DB_PASSWORD", 1), ("env-shell", WARN, "TZ", 2)]
    assert of_text(text, ["TZ"], environ=shell) == [("env-shell", FAIL, "DB_PASSWORD", 1), ("env-shell", FAIL, "TZ", 2)]


def test_a_key_without_a_sign_inherits_from_the_shell() -> None:
    assert of_text("A=1\nDB_PASSWORD\nTZ\n") == [("env-shell", FAIL, "DB_PASSWORD", 2), ("env-shell", WARN, "TZ", 3)]


@pytest.mark.parametrize(("line", "status"), [
    ("COMPOSE_PROJECT_NAME=coinpilot", FAIL), ("COMPOSE_PROJECT_NAME=oci", PASS), ("COMPOSE_FILE=other.yml", WARN),
    ("COMPOSE_PROFILES=debug", PASS), ("DOCKER_HOST=tcp://10.0.0.5:2375", FAIL),
    ("DOCKER_HOST=unix:///var/run/docker.sock", PASS),
    ("DOCKER_CONTEXT=other", WARN), ("COMPOSE_HTTP_TIMEOUT=120", PASS),
])
def test_settings_of_compose(line: str, status: str) -> None:
    found = of_text(line + "\n", resolved={"name": "oci"})
    assert found == ([] if status == PASS else [("env-compose", status, line.split("=", 1)[0], 1)])


# --- nothing shows a value

SECRETS = st.text(st.characters(blacklist_characters="\0\r\n", blacklist_categories=("Cs", "Cc")), min_size=6,
                  max_size=30)
SHAPES = st.sampled_from([
    "DB_PASSWORD={0}", "DB_PASSWORD='{0}", 'X_TOKEN="{0}"{1}', "X_TOKEN={0}${1}", "{0}", "{0}={1}", "A B={0}",
    "X_SECRET={0} #{1}",
    "URL=http://{0}:{1}@host/", "DB_PASSWORD=${{{0}}}", "X_TOKEN", "export {0}", "X_TOKEN='{0}\n{1}'",
    "DB_PASSWORD={0}\nDB_USER={0}",
    "X_API_KEY={0}\nY_API_KEY={0}", "COMPOSE_PROJECT_NAME={0}", "DB_PASSWORD_URLENCODED={0}", 'X="a" {0}',
    'X="a" {0}={1}',
])


def everything_said(found: list[Finding]) -> str:
    return (findings.render_text(found, "en") + findings.render_text(found, "ko") + findings.render_json(found)
            + findings.render_problems(found, "en") + findings.render_problems(found, "ko"))


@given(st.lists(st.tuples(SHAPES, SECRETS, SECRETS), min_size=1, max_size=4))
def test_no_value_is_ever_said(parts: list[tuple[str, str, str]]) -> None:
    marks = []
    lines = []
    for number, (shape, one, two) in enumerate(parts):
        secrets = ["Zq%dKv" % number + one + "vKq%dZ" % number, "Wj%dXp" % number + two + "pXj%dW" % number]
        marks += ["Zq%dKv" % number, "vKq%dZ" % number, "Wj%dXp" % number, "pXj%dW" % number]
        lines.append(shape.format(*secrets))
    text = "\n".join(lines) + "\n"
    world = env.World("/srv/.env", {**CLEAN, "X_TOKEN": "Zq0Kv" + parts[0][1]}, content=text.encode(),
                      file=env.Status("/srv/.env", "file", 0o600, "root"), neighbours=(env.Neighbour("/srv/.env.bak",
                                                                                                     text.encode()),))
    resolved = {"name": "oci", "services": {"x": {"environment": {"URL": "http://u:%s@h" % parts[0][1], "TEXT": text}}}}
    found = env.judge(world, ["DB_PASSWORD"], resolved)
    said = everything_said(found) + repr(world) + str(world) + repr(dataclasses.replace(world))
    assert [mark for mark in marks if mark in said] == []


@pytest.mark.parametrize("line", ["{0}", "{0}=", "{0}==", "MIIEowIBAAKCAQEA{0}/x+", "DB_PASSWORD='x\n{0}", 'X="y"{0}\n',
                                  "{0}\nA=1"])
def test_a_key_that_was_pasted_in_several_lines_is_not_shown(line: str) -> None:
    for secret in ("q7Zt1Vd0bK4mWc9XyR2nLs", "MFRGGZDFMZTWQ2LKNNWG", "deadbeefcafe0123", "QWERTZUIOPASDF"):
        world = env.World("/srv/.env", CLEAN, content=line.format(secret).encode(), file=env.Status("/srv/.env", "file",
                                                                                                    0o600, "root"))
        assert secret not in everything_said(env.judge(world, []))


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(content: bytes) -> None:
    world = env.World("/srv/.env", CLEAN, content=content, file=env.Status("/srv/.env", "file", 0o600, "root"),
                      git=Git("/srv", error="no"), neighbours=(env.Neighbour("/srv/.env.old", content),))
    assert findings.worst(env.judge(world, ["DB_PASSWORD"], {"services": []})) == FAIL


@pytest.mark.parametrize("resolved", [{}, {"services": None}, {"services": {"a": None}},
                                      {"services": {"a": {"environment": ["X=1"]}}},
                                      {"name": 5, "services": {"a": {"environment": {"DB_USER": 5}}}}])
def test_any_resolved_project_is_taken(resolved: dict) -> None:
    assert of_text(GOOD, resolved=resolved) == []


def test_every_rule_says_why_in_both_languages() -> None:
    for rule in RULES.values():
        assert all((*rule.title, *rule.expected, *rule.why)), rule.id
        for case in rule.cases.values():
            assert all((*case.seen, *case.fix)), rule.id
