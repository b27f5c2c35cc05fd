# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What n8n's own database tells: workflows, the webhooks it has registered, executions, credentials' names, the owner.

Reads the SQLite file in the volume while n8n works, and never writes to it. n8n waits a second for a lock and then
gives up what it was about to store: so all that is asked at once is read at once, and taken apart afterwards.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import stat
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple
from urllib.parse import quote

NAME = "database.sqlite"
# How long a lock of n8n is waited for; it holds its own for milliseconds.
BUSY_SECONDS = 10.0
# An execution with more data than this is not taken apart.
LARGEST_EXECUTION = 16 << 20
MOST_EXECUTIONS = 1000

_HEADER = b"SQLite format 3\0"
_WAL_VERSION_AT, _WAL_VERSION = 18, 2
_OWNER_SETTING = "userManagement.isInstanceOwnerSetUp"


class Unreadable(Exception):
    """The database cannot be read; one line that says why."""


class Webhook(NamedTuple):
    """A webhook that n8n has registered, i.e. one that it answers."""

    path: str
    method: str
    node: str
    workflow_id: str


class Workflow(NamedTuple):
    """A workflow as it is stored. ``nodes`` and ``connections`` are those that were saved last.

    An active one runs ``active_nodes``: versions that tell saving from publishing keep them apart.
    """

    id: str
    name: str
    active: bool
    archived: bool
    nodes: List[Any]
    connections: Dict[str, Any]
    settings: Dict[str, Any]
    updated_at: str
    active_nodes: List[Any]
    active_connections: Dict[str, Any]


class Credential(NamedTuple):
    """A credential without its data, which nothing here ever shows."""

    id: str
    name: str
    type: str
    updated_at: str


class Execution(NamedTuple):
    """One run of a workflow. Times are UTC; ``status`` is n8n's word: new, running, success, error, canceled, ..."""

    id: int
    workflow_id: str
    status: str
    finished: bool
    mode: str
    started_at: str
    stopped_at: str


class NodeRun(NamedTuple):
    """What one node did in an execution. ``error`` is empty where it did well; ``outputs`` holds its items' JSON."""

    node: str
    error: str
    http_status: str
    outputs: List[List[Any]]


class Run(NamedTuple):
    """What an execution did: its nodes in the order in which they ran, and the error that ended it, if one did."""

    nodes: List[NodeRun]
    last_node: str
    error: str

    def ran(self, name: str) -> bool:
        return any(node.node == name for node in self.nodes)


class Database:
    """An open database at one moment. Whatever another version of n8n does not have is told by Unreadable.

    Names stand in brackets where nothing has looked for them: what is in double quotes and no column, is a text.
    """

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def workflows(self) -> List[Workflow]:
        rows = self._rows("workflow_entity", ("id", "name", "active"),
                          ("nodes", "connections", "settings", "updatedAt", "isArchived", "activeVersionId"))
        published = {}
        if "activeVersionId" in self._columns("workflow_entity"):
            # Without a version that is published the flag `active` does nothing.
            published = {row["versionId"]: row for row in self._rows(
                "workflow_history", ("versionId", "nodes", "connections"),
                where='"versionId" IN (SELECT "activeVersionId" FROM "workflow_entity")')}
            for row in rows:
                row["active"] = row["active"] and row["activeVersionId"] in published
        return [_workflow(row, published.get(row["activeVersionId"], row)) for row in rows]

    def webhooks(self) -> List[Webhook]:
        rows = self._rows("webhook_entity", ("webhookPath", "method", "node", "workflowId"))
        return [Webhook(str(row["webhookPath"]), str(row["method"]), str(row["node"]), str(row["workflowId"]))
                for row in rows]

    def credentials(self) -> List[Credential]:
        rows = self._rows("credentials_entity", ("id", "name", "type"), ("updatedAt",))
        return [Credential(str(row["id"]), str(row["name"]), str(row["type"]), str(row["updatedAt"] or ""))
                for row in rows]

    def credential_marks(self) -> Dict[str, str]:
        """id -> what tells one state of a credential from another: its encrypted data as a digest.

        n8n encrypts with a new salt each time, and its import leaves the time of the last change as it was.
        """
        rows = self._rows("credentials_entity", ("id", "data"))
        return {str(row["id"]): hashlib.sha256(str(row["data"]).encode("utf-8")).hexdigest() for row in rows}

    def owner_is_set_up(self) -> bool:
        """Whether somebody is the owner. Until then, n8n shows everybody the page that makes one."""
        rows = self._rows("settings", ("key", "value"), where="key = ?", values=(_OWNER_SETTING,))
        return bool(rows) and str(rows[0]["value"]).strip('"').lower() == "true"

    def last_execution_id(self) -> int:
        """The number of the last execution there ever was, whether or not its record was kept."""
        kept = self._query("SELECT max([id]) FROM execution_entity")[0][0] or 0
        counted = self._query("SELECT seq FROM sqlite_sequence WHERE name = 'execution_entity'")
        return max(int(kept), int(counted[0][0]) if counted else 0)

    def executions(self, workflow_id: Optional[str] = None, after_id: int = 0, since: str = "") -> List[Execution]:
        """Those after a number, that began at a time (UTC, as n8n writes it: 2026-01-31 12:00:00.000) or later."""
        wanted = '"id" > ?' + (' AND "workflowId" = ?' if workflow_id is not None else "")
        wanted += ' AND "startedAt" >= ?' if since else ""
        values = [after_id, *([workflow_id] if workflow_id is not None else []), *([since] if since else [])]
        rows = self._rows("execution_entity", ("id", "workflowId", "finished", "mode", "startedAt"),
                          ("stoppedAt", "status"), wanted + ' ORDER BY "id" LIMIT %d' % MOST_EXECUTIONS, values)
        return [Execution(int(row["id"]), str(row["workflowId"]), str(row["status"] or ""), bool(row["finished"]),
                          str(row["mode"]), str(row["startedAt"] or ""), str(row["stoppedAt"] or "")) for row in rows]

    def executions_with(self, text: str, after_id: int) -> List[int]:
        """The numbers of the executions after a number whose data holds a text, also of those that still run."""
        rows = self._query("SELECT [executionId] FROM execution_data WHERE [executionId] > ? AND instr([data], ?) "
                           "ORDER BY 1 LIMIT %d" % MOST_EXECUTIONS, (after_id, text))
        return [int(row[0]) for row in rows]

    def run(self, execution_id: int) -> Optional[Run]:
        """What an execution did; None where n8n kept no record of it."""
        record = self.record(execution_id)
        return None if record is None else understood(execution_id, record)

    def record(self, execution_id: int) -> Optional[Any]:
        """The same as n8n wrote it, for `understood` to take apart once the database is closed."""
        size = self._query("SELECT length([data]) FROM execution_data WHERE [executionId] = ?", (execution_id,))
        if not size:
            return None
        if (size[0][0] or 0) > LARGEST_EXECUTION:
            raise Unreadable("execution %d holds more than %d MiB" % (execution_id, LARGEST_EXECUTION >> 20))
        return self._query("SELECT [data] FROM execution_data WHERE [executionId] = ?", (execution_id,))[0][0]

    def _rows(self, table: str, needed: Sequence[str], optional: Sequence[str] = (), where: str = "",
              values: Sequence[Any] = ()) -> List[Dict[str, Any]]:
        """Rows by column; a column that this version does not have is None in each."""
        there = self._columns(table)
        missing = [column for column in needed if column not in there]
        if missing:
            raise Unreadable("this version of n8n has no %s in its table %s" % (", ".join(missing), table)
                             if there else "this version of n8n has no table %s" % table)
        columns = [*needed, *(column for column in optional if column in there)]
        sql = 'SELECT %s FROM "%s"' % (", ".join('"%s"' % column for column in columns), table)
        rows = self._query(sql + (" WHERE " + where if where else ""), values)
        return [{**dict.fromkeys(optional), **dict(zip(columns, row))} for row in rows]

    def _columns(self, table: str) -> Set[str]:
        return {row[1] for row in self._query('PRAGMA table_info("%s")' % table)}

    def _query(self, sql: str, values: Sequence[Any] = ()) -> List[Tuple[Any, ...]]:
        with _told():
            return self._connection.execute(sql, tuple(values)).fetchall()


@contextlib.contextmanager
def opened(path: str) -> Iterator[Database]:
    """The database of a file as it is at one moment, also while n8n writes to it. Do not keep it open for long."""
    with _told(), contextlib.closing(sqlite3.connect(_address(path), uri=True, timeout=BUSY_SECONDS,
                                                     isolation_level=None)) as connection:
        connection.text_factory = _text
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield Database(connection)


def path_in(directory: str) -> str:
    """The database's file in the directory of n8n's volume."""
    return os.path.join(directory, NAME)


def understood(execution_id: int, record: Any) -> Run:
    """What an execution did, by its record."""
    try:
        return read_run(unflatten(record))
    except ValueError as problem:
        raise Unreadable("the record of execution %d cannot be understood: %s" % (execution_id, problem)) from None


def unflatten(text: str) -> Any:
    """What the JavaScript package `flatted` wrote: a list in which every text inside a value is another's place."""
    try:
        flat = json.loads(text)
    except (TypeError, RecursionError) as problem:
        raise ValueError(type(problem).__name__) from None
    if not isinstance(flat, list) or not flat:
        raise ValueError("it is no list of values")
    whole: List[Any] = [type(part)() if isinstance(part, (dict, list)) else part for part in flat]
    try:
        for part, target in zip(flat, whole):
            if isinstance(part, dict):
                target.update((name, _resolved(whole, value)) for name, value in part.items())
            elif isinstance(part, list):
                target.extend(_resolved(whole, value) for value in part)
    except IndexError:
        raise ValueError("it points to nothing") from None
    return whole[0]


def read_run(data: Any) -> Run:
    """An execution's data, taken apart; whatever is missing in it is empty."""
    result = _mapping(_mapping(data).get("resultData"))
    runs: List[Tuple[float, NodeRun]] = []
    for name, entries in _mapping(result.get("runData")).items():
        for entry in map(_mapping, _listing(entries)):
            problem = entry.get("error")
            started = entry.get("startTime")
            order = (entry.get("executionIndex") if isinstance(entry.get("executionIndex"), int)
                     else started if isinstance(started, (int, float)) else 0)
            runs.append((float(order or 0), NodeRun(str(name), error_text(problem), _http_status(problem),
                                                    _outputs(entry))))
    runs.sort(key=lambda pair: pair[0])
    return Run([run for _order, run in runs], str(result.get("lastNodeExecuted") or ""),
               error_text(result.get("error")))


def error_text(problem: Any) -> str:
    """What an error says, in one line; "" where there is none. It may hold a secret: mask before it is shown."""
    if not problem:
        return ""
    if isinstance(problem, Mapping):
        said = [str(problem[key]) for key in ("message", "description") if isinstance(problem.get(key), str)]
        return " ".join(" - ".join(dict.fromkeys(said)).split()) or "error"
    return " ".join(str(problem).split())


def _workflow(row: Mapping[str, Any], active: Mapping[str, Any]) -> Workflow:
    return Workflow(str(row["id"]), str(row["name"]), bool(row["active"]), bool(row["isArchived"]),
                    _listing(row["nodes"]), _mapping(row["connections"]), _mapping(row["settings"]),
                    str(row["updatedAt"] or ""), _listing(active["nodes"]), _mapping(active["connections"]))


def _http_status(problem: Any) -> str:
    status = _mapping(problem).get("httpCode")
    return str(status) if isinstance(status, (str, int)) else ""


def _outputs(entry: Mapping[str, Any]) -> List[List[Any]]:
    """Per output, the JSON of each item that left by it."""
    return [[_mapping(item).get("json") for item in _listing(output)]
            for output in _listing(_mapping(entry.get("data")).get("main"))]


def _resolved(whole: Sequence[Any], value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # What is no number is not told: it may be anything.
    if not value.isdecimal():
        raise IndexError
    return whole[int(value)]


def _address(path: str) -> str:
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("%s is no file" % path)
        with open(path, "rb") as file:
            header = file.read(_WAL_VERSION_AT + 1)
    except FileNotFoundError:
        raise Unreadable("there is no %s" % path) from None
    except OSError as problem:
        raise Unreadable("%s: %s" % (path, problem.strerror)) from None
    if len(header) <= _WAL_VERSION_AT or not header.startswith(_HEADER):
        raise Unreadable("%s is no SQLite database" % path)
    # Nobody has one open that is written by a -wal file when there is none; to look at it otherwise would make one.
    still = header[_WAL_VERSION_AT] == _WAL_VERSION and not os.path.lexists(path + "-wal")
    return "file:%s?mode=ro%s" % (quote(path), "&immutable=1" if still else "")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as problem:
        said = str(problem)
        if "locked" in said:
            said = "it stayed locked for %d s" % BUSY_SECONDS
        elif "readonly" in said:
            # To one that may only read, SQLite says this of a journal that must be rolled back first.
            said = "n8n stopped in the middle of writing; its next start mends that"
        raise Unreadable("n8n's database cannot be read: %s" % said) from None


def _loaded(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _mapping(value: Any) -> Dict[str, Any]:
    value = _loaded(value)
    return value if isinstance(value, dict) else {}


def _listing(value: Any) -> List[Any]:
    value = _loaded(value)
    return value if isinstance(value, list) else []
