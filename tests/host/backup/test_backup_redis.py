"""Backups of the real Redis: of this moment, whatever it is busy with; loaded, and put back key by key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from backup_on_host import ROOT, Begun, wait
from stack_on_host import ops, said
from testinfra.host import Host

DAILY = f"{ROOT}/redis/daily"
KEYS = 20_000
# A snapshot of this many keys takes seconds with so many microseconds a key.
SLOW, FAST = 200, 0
FILL = f"""for i = 0, {KEYS} - 1 do
  redis.call('SET', KEYS[1] .. i, string.rep('value', i % 20)) redis.call('HSET', KEYS[1] .. 'h' .. i % 100, i, i)
end"""
# Every key of every database with all that it holds, and when it ends.
CONTENT = """local all = {}
for db = 0, 15 do redis.call('SELECT', db)
  local names = redis.call('KEYS', '*') table.sort(names)
  for _, name in ipairs(names) do
    table.insert(all, redis.sha1hex(db .. name .. redis.call('PEXPIRETIME', name) .. redis.call('DUMP', name)))
  end
end
return redis.sha1hex(table.concat(all)) .. ' ' .. #all"""

UNDER_WAY = "docker exec coinpilot-redis redis-cli INFO persistence | grep -q rdb_bgsave_in_progress:1"

pytestmark = pytest.mark.usefixtures("no_backups")


def redis(host: Host, *words: str) -> str:
    return host.check_output("docker exec coinpilot-redis redis-cli -e " + " ".join("'%s'" % word.replace("'", "'\\''")
                                                                                  for word in words)).strip()


def evaluate(host: Host, script: str, *words: str) -> str:
    return redis(host, "EVAL", script, "1" if words else "0", *words)


def take(host: Host) -> dict[str, Any]:
    """The manifest of a backup, which must succeed."""
    rc, report = ops(host, "backup redis")
    assert rc == 0, said(report)
    name = re.findall(r"coinpilot_redis_\w+Z", said(report))[0]
    return dict(json.loads(host.file(f"{DAILY}/{name}.json").content_string))


def fail(host: Host, words: str) -> None:
    rc, report = ops(host, "backup redis")
    assert rc == 1 and words in report["findings"][0]["seen"]["en"], said(report)
    assert host.check_output(f"ls -A {DAILY}") == ""


@pytest.fixture(scope="module")
def alone(host: Host) -> Iterator[None]:
    """Nobody else writes."""
    writers = "coinpilot-bot coinpilot-collector coinpilot-dashboard"
    host.check_output(f"docker stop --time 2 {writers}")
    yield
    host.check_output(f"docker start {writers}")
    wait(host, '! docker ps -a --format "{{.Status}}" | grep -v "(healthy)"', 240)


@pytest.fixture
def filled(host: Host, alone: None) -> Iterator[None]:
    """Some thousand keys in two databases, of which one expires."""
    evaluate(host, FILL, "test:")
    evaluate(host, "redis.call('SELECT', 5) redis.call('SET', KEYS[1], 'v', 'EX', 100000)", "test:expires")
    yield
    redis(host, "CONFIG", "SET", "rdb-key-save-delay", str(FAST))
    evaluate(host, "for db = 0, 15 do redis.call('SELECT', db) for _, name in ipairs(redis.call('KEYS', 'test:*')) "
                   "do redis.call('DEL', name) end end")


def test_what_is_restored_is_what_was_there_key_by_key(host: Host, filled: None) -> None:
    before = evaluate(host, CONTENT)
    manifest = take(host)
    assert manifest["counts"]["db5"] == manifest["details"]["expiring"]["db5"] == 1
    redis(host, "FLUSHALL")
    redis(host, "SET", "test:later", "1")
    rc, report = ops(host, "restore redis %s --confirm coinpilot-ins" % manifest["name"])
    assert rc == 0, said(report)
    assert evaluate(host, CONTENT) == before
    host.check_output("docker restart coinpilot-redis")
    wait(host, "docker exec coinpilot-redis redis-cli PING | grep -q PONG")
    assert evaluate(host, CONTENT) == before


def test_a_snapshot_that_was_under_way_is_not_taken_for_one_of_now(host: Host, filled: None) -> None:
    redis(host, "CONFIG", "SET", "rdb-key-save-delay", str(SLOW))
    redis(host, "BGSAVE")
    evaluate(host, "redis.call('SELECT', 6) redis.call('SET', KEYS[1], 1)", "test:since")
    assert take(host)["counts"]["db6"] == 1


def test_a_backup_during_a_rewrite_of_the_append_only_files(host: Host, filled: None) -> None:
    redis(host, "CONFIG", "SET", "rdb-key-save-delay", str(SLOW))
    redis(host, "BGREWRITEAOF")
    evaluate(host, "redis.call('SELECT', 6) redis.call('SET', KEYS[1], 1)", "test:since")
    assert take(host)["counts"]["db6"] == 1
    rc, report = ops(host, "restore-rehearsal redis")
    assert rc == 0, said(report)


def test_keys_that_expire_after_the_snapshot_are_in_it_still(host: Host, filled: None) -> None:
    evaluate(host, "redis.call('SELECT', 6) redis.call('SET', KEYS[1], 1, 'EX', 8)", "test:soon")
    assert take(host)["counts"]["db6"] == 1
    host.check_output("sleep 8")
    rc, report = ops(host, "restore-rehearsal redis")
    assert rc == 0, said(report)


def test_killed_while_redis_writes_its_snapshot(host: Host, filled: None, begin: Callable[[str], Begun]) -> None:
    redis(host, "CONFIG", "SET", "rdb-key-save-delay", str(SLOW))
    job = begin("backup redis")
    wait(host, UNDER_WAY)
    job.signal("KILL")
    job.end()
    assert host.check_output(f"ls {DAILY}") == ""
    redis(host, "CONFIG", "SET", "rdb-key-save-delay", str(FAST))
    take(host)
    assert host.check_output(f"ls -A {ROOT}/.work; docker ps -aq --filter label=coinpilot.ops.scratch") == ""


def test_a_snapshot_that_fails_is_a_failure(host: Host, filled: None) -> None:
    """Its process is killed, as the kernel does when memory runs out."""
    redis(host, "CONFIG", "SET", "rdb-key-save-delay", str(SLOW))
    host.check_output("touch /run/no-snapshots")
    host.check_output("setsid sh -c 'while [ -e /run/no-snapshots ]; do pkill -9 -f ^redis-rdb-bgsave; sleep 0.2; "
                      "done' < /dev/null > /dev/null 2>&1 &")
    fail(host, "Background saving terminated by signal 9")
    host.check_output("rm /run/no-snapshots; sleep 0.5")
    # Until a snapshot succeeds, Redis takes no writes.
    take(host)
    redis(host, "SET", "test:writes", "again")


def test_a_redis_that_hangs_is_not_waited_for(host: Host, filled: None) -> None:
    pid = host.check_output("docker inspect --format '{{.State.Pid}}' coinpilot-redis")
    host.check_output(f"kill -STOP {pid}")
    try:
        fail(host, "did not answer within 30 s")
    finally:
        host.check_output(f"kill -CONT {pid}")


def test_a_redis_that_wants_a_password(host: Host, filled: None) -> None:
    redis(host, "CONFIG", "SET", "requirepass", "secret")
    try:
        fail(host, "NOAUTH")
    finally:
        host.check_output("docker exec --env REDISCLI_AUTH=secret coinpilot-redis redis-cli CONFIG SET requirepass ''")


@pytest.mark.parametrize(("spoil", "status", "words"), [
    ("true", 0, "coinpilot_redis_20260301_031501"),
    # As a copy made during a rewrite is: the manifest names a file that is gone. The snapshot beside it is whole.
    ("rm appendonlydir/*.incr.aof", 0, "coinpilot_redis_20260301_031501"),
    ("find . -mindepth 1 -maxdepth 1 ! -name dump.rdb -exec rm -r {} +", 0, "coinpilot_redis_20260301_031501"),
    ("rm dump.rdb appendonlydir/*.incr.aof", 1, "No such file or directory"),
    ("rm -r * && echo nothing > readme", 1, "holds no files of Redis"),
])
def test_archives_of_the_scripts_of_before(host: Host, filled: None, spoil: str, status: int, words: str) -> None:
    redis(host, "BGSAVE")
    wait(host, f"! {UNDER_WAY}")
    name, volume = "coinpilot_redis_20260301_031501", "/var/lib/docker/volumes/oci_coinpilot_redis_data/_data"
    archive = f"{DAILY}/{name}.tar.gz"
    host.check_output(f"mkdir -p {DAILY}; rm -rf /root/old; cp -a {volume} /root/old && cd /root/old && {spoil} && "
                      f"tar -czf {archive} . && sha256sum {archive} > {archive}.sha256; rm -r /root/old")
    rc, report = ops(host, f"restore-rehearsal redis --name {name}")
    assert rc == status and words in said(report), said(report)
