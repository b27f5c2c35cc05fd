# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""n8n's own commands, run in its container. What they are given they read from their standard input, secrets too.

They end with exit code 0 whether or not they did what they were asked to: only the database tells.
"""

from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

from . import container, http_json
from .container import Container

# A command of n8n loads all of n8n first.
_PATIENCE = "300"


def import_workflows(service: Container, workflows: Sequence[Mapping[str, Any]]) -> str:
    return _ask(service, "import:workflow", "--input=/dev/stdin", given=json.dumps(workflows))


def import_credentials(service: Container, credentials: Sequence[Mapping[str, Any]]) -> str:
    return _ask(service, "import:credentials", "--input=/dev/stdin", given=json.dumps(credentials))


def set_active(service: Container, workflow_id: str, active: bool) -> str:
    """Takes effect when n8n is started next."""
    return _ask(service, "update:workflow", "--id=" + workflow_id, "--active=" + ("true" if active else "false"))


def set_all_active(service: Container) -> str:
    """Every workflow that n8n has, in the time that one takes."""
    return _ask(service, "update:workflow", "--all", "--active=true")


def _ask(service: Container, command: str, *options: str, given: str = "") -> str:
    """What n8n said, in one line."""
    said = container.ask(service, "timeout", _PATIENCE, "n8n", command, *options, given=given, program="n8n " + command)
    return http_json.masked(container.one_line(said))
