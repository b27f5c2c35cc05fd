#!/usr/bin/env python3
"""Write what the demo's inventory does not know beforehand: the SSH port, and made-up secrets.

    demo_inventory.py SSH_PORT
"""

from __future__ import annotations

import os
import secrets
import sys

import yaml
from common import CHECKOUT, say

INVENTORY = CHECKOUT / "inventories" / "demo"
SECRETS = INVENTORY / "group_vars" / "all" / "secrets.yml"
CONNECTION = INVENTORY / "host_vars" / "oci" / "connection.yml"
DESCRIPTION = CHECKOUT / "roles" / "stack" / "defaults" / "main.yml"
OWNER_KEYS = ("N8N_OWNER_EMAIL", "N8N_OWNER_PASSWORD")
HEAD = "---\n# Written by `make demo`; `make demo-down` removes it.\n"


def main() -> int:
    CONNECTION.parent.mkdir(parents=True, exist_ok=True)
    CONNECTION.write_text(f"{HEAD}ansible_port: {int(sys.argv[1])}\n")
    # Made up once: the database in the demo's volume was made with them. An older demo may lack some.
    made = yaml.safe_load(SECRETS.read_text())["stack_secrets"] if SECRETS.exists() else {}
    keys = (*yaml.safe_load(DESCRIPTION.read_text())["stack_required_keys"], *OWNER_KEYS)
    values = {key: _value(key) for key in keys if key not in made}
    if values:
        with open(os.open(SECRETS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(HEAD + yaml.safe_dump({"stack_secrets": {**made, **values}}, sort_keys=False))
        say(f"made up the demo's secrets: {SECRETS.relative_to(CHECKOUT)}")
    return 0


def _value(key: str) -> str:
    if key.endswith("_EMAIL"):
        return "owner@example.com"
    # n8n wants a capital and a digit.
    return f"admin-{secrets.token_hex(2)}" if key.endswith("_USER") else f"A1{secrets.token_urlsafe(18)}"


if __name__ == "__main__":
    sys.exit(main())
