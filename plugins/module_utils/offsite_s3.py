# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""One question to an S3-compatible server: may this key list this path of this bucket, and does anything lie there?

restic cannot be asked that. It takes a bucket that is missing for a new repository and would create the bucket, and
it tries for a quarter of an hour before it tells of a wrong key or a server that is down.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import time
from typing import Dict, NamedTuple, Optional
from urllib.parse import quote, urlencode

from .backup_errors import BackupError

TIMEOUT = 20.0
_REPOSITORY = re.compile(r"s3:(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+(?::\d{1,5})?)/(?P<bucket>[A-Za-z0-9._-]+)"
                         r"/(?P<path>[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)\Z")
_LOCAL = re.compile(r"(?:127\.0\.0\.1|localhost)(?::\d+)?\Z")
# <namespace>.compat.objectstorage.<region>.oraclecloud.com, s3.<region>.amazonaws.com and others of this form.
_REGION = re.compile(r"(?:^|\.)(?:s3|objectstorage)[.-]([a-z]{2,}-[a-z0-9-]*[a-z0-9])\.")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_LISTING, _ENTRY = "<ListBucketResult", "<Contents>"
_BLOCK = 1 << 16


class Repository(NamedTuple):
    """Where the copies lie."""

    scheme: str
    host: str
    bucket: str
    path: str

    @property
    def region(self) -> Optional[str]:
        """As the server's name tells it; many servers have none."""
        match = _REGION.search(self.host.lower())
        return match.group(1) if match else None


def parse(repository: str) -> Optional[Repository]:
    """The parts of a repository's address, or None for what is none, or would go over the network unencrypted."""
    match = _REPOSITORY.match(repository)
    if match is None or (match["scheme"] == "http" and not _LOCAL.match(match["host"])):
        return None
    return Repository(**match.groupdict())


def is_empty(repository: Repository, key_id: str, secret: str) -> bool:
    """Whether nothing lies at the path. Raises BackupError (offsite_messages.TROUBLE) when that cannot be told."""
    query = urlencode({"max-keys": "1", "prefix": repository.path + "/"}, quote_via=quote)
    target = "/" + quote(repository.bucket)
    headers = sign(repository, target, query, key_id, secret, time.time())
    kind = http.client.HTTPSConnection if repository.scheme == "https" else http.client.HTTPConnection
    connection = kind(repository.host, timeout=TIMEOUT)
    try:
        connection.request("GET", target + "?" + query, headers=headers)
        answer = connection.getresponse()
        status, body = answer.status, answer.read(_BLOCK).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as problem:
        raise BackupError("unreachable", server=repository.host, said=said(problem)) from problem
    finally:
        connection.close()
    return read_answer(repository, status, body)


def read_answer(repository: Repository, status: int, body: str) -> bool:
    """What the server's answer means: see `is_empty`."""
    if status == 200 and _LISTING in body:
        return _ENTRY not in body
    code = _CODE.search(body)
    shown = "HTTP %d%s" % (status, " " + code.group(1) if code else "")
    if status == 404:
        raise BackupError("no-bucket", bucket=repository.bucket, server=repository.host)
    if code and code.group(1) == "RequestTimeTooSkewed":
        raise BackupError("clock", server=repository.host)
    if status in (400, 401, 403):
        raise BackupError("denied", server=repository.host, said=shown)
    raise BackupError("no-s3", server=repository.host, said=shown)


def sign(repository: Repository, target: str, query: str, key_id: str, secret: str, now: float) -> Dict[str, str]:
    """The headers of a GET request without a body, signed as S3 wants it (AWS signature version 4)."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    region = repository.region or "us-east-1"
    scope = "%s/%s/s3/aws4_request" % (moment[:8], region)
    headers = {"host": repository.host, "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(), "x-amz-date": moment}
    names = ";".join(sorted(headers))
    request = "\n".join(["GET", target, query, *("%s:%s" % (name, headers[name]) for name in sorted(headers)), "",
                         names, headers["x-amz-content-sha256"]])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return {**headers, "authorization": "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        key_id, scope, names, signature)}


def said(problem: BaseException) -> str:
    """What went wrong with a connection, in the system's words."""
    return str(getattr(problem, "strerror", None) or problem or type(problem).__name__)
