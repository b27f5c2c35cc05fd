# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Whether a `.env` is safe to start the stack with: the file, who can reach it, and every value as Compose reads it.

No finding, error or representation holds a value, a part of one, or a name that may be a part of one.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import re
import shlex
import stat
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from . import findings, placeholder
from . import preflight_env_git as git
from . import preflight_env_values as values
from .dotenv_reading import parse
from .findings import Finding
from .preflight_env_content import Content, decode
from .preflight_env_rules import RULES

_LARGEST = 1 << 20
_MOST_NEIGHBOURS = 200
_MODES = (0o600, 0o400)
_ACL = "system.posix_acl_access"
_RELEVANT_TO_FILE = ("env-file", "env-mode", "env-owner", "env-parent", "env-symlink", "env-copy", "env-tracked")

_EXAMPLE = re.compile(r"[._~-](example|sample|template|tmpl|tpl|dist|defaults?|j2|schema)(?=[._~-]|\Z)", re.IGNORECASE)
_ENDING = (r"(txt|bak|backup|old|orig|save|saved|copy|prod|production|prd|live|staging|local|dev|new|tmp|temp"
           r"|zip|tar|gz|tgz|7z|\d+)")


class Status(NamedTuple):
    """A file or directory; ``owner`` is a user's name (or number, where it has none)."""

    path: str
    kind: str
    mode: int
    owner: str
    acl: bool = False


@dataclasses.dataclass(frozen=True, repr=False)
class Neighbour:
    """A file beside it whose name says that it may be a copy. ``content`` None: not read, ``error`` says why."""

    path: str
    content: Optional[bytes]
    error: str = ""


@dataclasses.dataclass(frozen=True, repr=False)
class World:
    """What was read. Holds every secret, so it does not show itself."""

    path: str
    environ: Mapping[str, str]
    # root, and who asks (through sudo as well).
    trusted: Tuple[str, ...] = ("root",)
    file: Optional[Status] = None
    links: Tuple[Status, ...] = ()
    # The directory of the file first, then those above it.
    directories: Tuple[Status, ...] = ()
    content: Optional[bytes] = None
    neighbours: Tuple[Neighbour, ...] = ()
    git: git.Git = git.Git()
    # What could not be read: file, content, directories, neighbours -> why.
    errors: Mapping[str, str] = dataclasses.field(default_factory=dict)


def gather(path: str, environ: Optional[Mapping[str, str]] = None) -> World:
    """Reads the file, what is around it, and the variables of the shell. Never raises for what it finds."""
    environ = dict(os.environ if environ is None else environ)
    errors: Dict[str, str] = {}
    found: Dict[str, Any] = {}
    real = path
    try:
        path = real = os.path.abspath(path)
        found["links"] = _links(path)
        real = os.path.realpath(path)
        found["file"] = _status(real)
    except FileNotFoundError:
        found["file"] = None
    except (OSError, ValueError) as error:
        errors["file"] = _why(error)
    for name, read in (("directories", _directories), ("neighbours", _neighbours)):
        try:
            found[name] = read(path, real)
        except (OSError, ValueError) as error:
            errors[name] = _why(error)
    file = found.get("file")
    if file is not None:
        found["git"] = git.look(real)
        if file.kind == "file":
            try:
                found["content"] = _read(real)
            except OSError as error:
                errors["content"] = _why(error)
    return World(path, environ, _trusted(environ), errors=errors, **found)


def _trusted(environ: Mapping[str, str]) -> Tuple[str, ...]:
    caller = _user(os.geteuid())
    through_sudo = environ.get("SUDO_USER", "") if caller == "root" else ""
    return tuple(dict.fromkeys(name for name in ("root", caller, through_sudo) if name))


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _why(error: Exception) -> str:
    """The reason alone: an error's own text may quote what it stumbled over."""
    return getattr(error, "strerror", None) or type(error).__name__


def _status(path: str, follow: bool = True) -> Status:
    status = os.stat(path, follow_symlinks=follow)
    kind = ("link" if stat.S_ISLNK(status.st_mode) else "directory" if stat.S_ISDIR(status.st_mode)
            else "file" if stat.S_ISREG(status.st_mode) else "other")
    return Status(path, kind, stat.S_IMODE(status.st_mode), _user(status.st_uid), kind != "link" and _has_acl(path))


def _has_acl(path: str) -> bool:
    listing = getattr(os, "listxattr", None)
    try:
        return listing is not None and _ACL in listing(path)
    except OSError:
        return False


def _links(path: str) -> Tuple[Status, ...]:
    """The symbolic links among the parts of a path; the file itself last."""
    parts = path.split(os.sep)
    found = []
    for count in range(2, len(parts) + 1):
        part = os.sep.join(parts[:count])
        if os.path.islink(part):
            found.append(_status(part, follow=False))
    return tuple(found)


def _directories(path: str, real: str) -> Tuple[Status, ...]:
    """The directories that lead to the file, by its own name and by the links in it, the nearest first."""
    names: List[str] = []
    for start in (real, path):
        directory = os.path.dirname(start)
        while directory not in names:
            names.append(directory)
            directory = os.path.dirname(directory)
    return tuple(status for status in (_status(name) for name in names) if status.kind == "directory")


def _neighbours(path: str, _real: str) -> Tuple[Neighbour, ...]:
    directory, name = os.path.split(path)
    beside = sorted(entry for entry in os.listdir(directory) if entry != name and is_copy_name(entry, name))
    found = []
    for entry in beside[:_MOST_NEIGHBOURS]:
        full = os.path.join(directory, entry)
        try:
            if stat.S_ISREG(os.stat(full).st_mode):
                found.append(Neighbour(full, _read(full)))
        except OSError as error:
            found.append(Neighbour(full, None, _why(error)))
    return tuple(found)


def _read(path: str) -> bytes:
    """The first MiB and a byte; a file that turned into a pipe meanwhile does not hold this up."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(_LARGEST + 1)


def is_copy_name(name: str, original: str) -> bool:
    """Whether a file of this name beside the original may be a copy of it: .env.bak, .env~, .env.swp, env.txt."""
    low, base = name.lower(), original.lower()
    if re.match(re.escape(base) + r"(rc\Z|[.~_ ,+@#(-])", low):
        return True
    if re.match(r"(#%s#|\.#%s|\.%s[.-]|copy of %s)" % ((re.escape(base),) * 4), low):
        return True
    if base != ".env":
        return False
    return bool(re.match(r"(dot)?env([._-]%s)*\Z" % _ENDING, low)
                or re.match(r"(old|bak|backup|copy|orig|prev|previous|saved?)[._-]*(dot)?env\Z", low))


def judge(world: World, required: Sequence[str], resolved: Optional[Mapping[str, Any]] = None,
          owner: Optional[str] = None, referenced: Sequence[str] = (), project: str = "") -> List[Finding]:
    """What is unsafe about the file, its surroundings and its values.

    ``required``: keys that must hold a value; ``referenced``: that must be there, if only empty, as long as they
    guard nothing. ``resolved``: the project as Compose resolves it. ``owner``: who may own the file beside root and who
    asks. ``project``: the name that the stack's volumes bear; without it the resolved one.
    """
    found = list(_judge_place(world, owner))
    judged = set(_RELEVANT_TO_FILE)
    if _is_judgeable(world):
        content = Content(world.path, world.content or b"", world.environ)
        found += content.judge(required, resolved or {}, referenced, project)
        judged |= set(RULES) - (set() if resolved is not None else {"env-url"})
    elif world.file is None:
        judged = {"env-file"}
    if world.git.error:
        judged.discard("env-tracked")
    asked = {name: rule for name, rule in RULES.items() if name in judged and _was_read(name, world)}
    return findings.with_passes(asked, found)


def _was_read(rule: str, world: World) -> bool:
    needed = {"env-parent": "directories", "env-copy": "neighbours"}
    return needed.get(rule, "") not in world.errors


def _is_judgeable(world: World) -> bool:
    return world.content is not None and len(world.content) <= _LARGEST


def _judge_place(world: World, owner: Optional[str]) -> Iterator[Finding]:
    for finding in _judge_file(world, owner):
        yield finding.at(file=world.path)
    for finding in (*_judge_links(world, owner), *_judge_directories(world, owner), *_judge_git(world)):
        yield finding.at(file=world.path)
    yield from _judge_neighbours(world)


def _judge_file(world: World, owner: Optional[str]) -> Iterator[Finding]:
    rule, file = RULES["env-file"], world.file
    if "file" in world.errors:
        yield rule.unread(world.errors["file"])
    elif file is None:
        yield rule.finding("missing", path=shlex.quote(world.path))
    elif file.kind != "file":
        yield rule.finding("kind", path=shlex.quote(world.path))
    elif world.content is None:
        yield rule.unread(world.errors.get("content", ""))
    elif len(world.content) > _LARGEST:
        yield rule.finding("large", path=shlex.quote(world.path))
    if file is None or file.kind != "file":
        return
    if file.mode not in _MODES:
        case = "acl" if file.acl and file.mode & 0o070 else "mode"
        yield RULES["env-mode"].finding(case, mode="%04o" % file.mode, path=shlex.quote(file.path))
    if file.owner not in (*world.trusted, owner):
        yield RULES["env-owner"].finding("other", owner=file.owner, wanted=_wanted(world, owner),
                                         path=shlex.quote(file.path))


def _wanted(world: World, owner: Optional[str]) -> str:
    return owner or world.trusted[-1]


def _judge_links(world: World, owner: Optional[str]) -> Iterator[Finding]:
    rule = RULES["env-symlink"]
    for link in world.links:
        if link.path == world.path:
            yield rule.finding("file", link.path)
        elif link.owner not in (*world.trusted, owner):
            yield rule.finding("directory", link.path, owner=link.owner)


def _judge_directories(world: World, owner: Optional[str]) -> Iterator[Finding]:
    """The file's own directory is nobody else's to write to; one further up may be shared if it is sticky."""
    rule = RULES["env-parent"]
    if "directories" in world.errors:
        if world.file is not None:
            yield rule.unread(world.errors["directories"])
        return
    if world.file is None:
        return
    own = {os.path.dirname(world.file.path), os.path.dirname(world.path)}
    for directory in world.directories:
        shared, sticky = directory.mode & 0o022, directory.mode & stat.S_ISVTX
        if shared and (not sticky or directory.path in own):
            yield rule.finding("sticky" if sticky else "writable", directory.path, mode="%04o" % directory.mode)
        elif directory.path in own and directory.owner not in (*world.trusted, owner):
            yield rule.finding("owner", directory.path, owner=directory.owner, wanted=_wanted(world, owner))


def _judge_git(world: World) -> Iterator[Finding]:
    rule, known = RULES["env-tracked"], world.git
    if known.error:
        yield rule.unread(known.error)
    elif known.tracked:
        yield rule.finding("tracked", root=known.root)
    elif known.committed:
        yield rule.finding("committed", root=known.root)
    elif known.root and not known.ignored:
        yield rule.finding("exposed", root=known.root)


def _judge_neighbours(world: World) -> Iterator[Finding]:
    rule = RULES["env-copy"]
    if "neighbours" in world.errors and world.file is not None:
        yield rule.unread(world.errors["neighbours"]).at(file=world.path)
    in_use = _secrets_in_use(world)
    for neighbour in world.neighbours:
        name = os.path.basename(neighbour.path)
        if neighbour.content is None:
            finding: Optional[Finding] = rule.unread(neighbour.error, name)
        elif _EXAMPLE.search(name):
            finding = rule.finding("example", name) if _holds(neighbour.content, in_use) else None
        else:
            held = _holds(neighbour.content, in_use) or _has_secrets(neighbour.content)
            finding = rule.finding("copy", name, copy=shlex.quote(neighbour.path)) if held else None
        if finding:
            yield finding.at(file=neighbour.path)


def _secrets_in_use(world: World) -> Set[bytes]:
    """The values of secrets, long enough that finding one elsewhere is no accident, and not merely placeholders."""
    if not _is_judgeable(world):
        return set()
    in_use = parse(decode(world.content or b""), world.environ).values()
    return {value.encode("utf-8", "surrogateescape") for key, value in in_use.items()
            if values.is_secret(key) and len(value) >= 8 and not placeholder.is_placeholder(value, key)}


def _holds(content: bytes, secrets: Set[bytes]) -> bool:
    return any(secret in content for secret in secrets)


def _has_secrets(content: bytes) -> bool:
    """Whether a file is no text (an editor's swap file, an archive), or gives a secret a value, and no placeholder."""
    if b"\0" in content or len(content) > _LARGEST:
        return True
    held = parse(decode(content), interpolate=False).values()
    return any(value and values.is_secret(key) and not placeholder.is_placeholder(value, key)
               for key, value in held.items())
