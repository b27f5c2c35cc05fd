#!/usr/bin/env python3
"""Make up the demo's secrets, once: the database in the demo's volume was made with them."""

from __future__ import annotations

import os
import secrets
import sys

import yaml
from common import CHECKOUT, say

SECRETS = CHECKOUT / "inventories" / "demo" / "group_vars" / "all" / "secrets.yml"
DESCRIPTION = CHECKOUT / "roles" / "stack" / "defaults" / "main.yml"


def main() -> int:
    if SECRETS.exists():
        return 0
    keys = yaml.safe_load(DESCRIPTION.read_text())["stack_required_keys"]
    values = {key: _value(key) for key in keys}
    text = yaml.safe_dump({"stack_secrets": values}, sort_keys=False)
    text = f"---\n# Made up by `make demo`; `make demo-down` removes it.\n{text}"
    with open(os.open(SECRETS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    say(f"made up the demo's secrets: {SECRETS.relative_to(CHECKOUT)}")
    return 0


def _value(key: str) -> str:
    return f"admin-{secrets.token_hex(2)}" if key.endswith("_USER") else secrets.token_urlsafe(18)


if __name__ == "__main__":
    sys.exit(main())
