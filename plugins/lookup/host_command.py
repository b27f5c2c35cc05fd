# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: host_command
short_description: The host's own command as one file
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Packs the rules of this collection into one executable file, C(coinpilot-ops), that needs nothing on the host but
    Python. The same rules give the same bytes.
options: {}
"""

EXAMPLES = r"""
- name: Install the host's own command
  coinpilot.ops.host_files:
    files:
      - path: /usr/local/bin/coinpilot-ops
        content_base64: "{{ lookup('coinpilot.ops.host_command') }}"
        mode: "0755"
"""

RETURN = r"""
_raw:
  description: The file's bytes in Base64.
  type: list
  elements: str
"""

import base64
import io
import zipfile
from pathlib import Path
from typing import Any, List

from ansible.plugins.lookup import LookupBase

RULES = Path(__file__).resolve().parents[1] / "module_utils"
# -I: root runs this, and nothing of the caller's environment or directory may decide what is imported.
SHEBANG = b"#!/usr/bin/python3 -I\n"
START = ("import coinpilot_ops\nfrom coinpilot_ops import unpacked\n\nunpacked.use(coinpilot_ops)\n\n"
         "from coinpilot_ops import command\n\nraise SystemExit(command.main())\n")


class LookupModule(LookupBase):
    def run(self, terms: List[Any], variables: Any = None, **kwargs: Any) -> List[str]:
        self.set_options(var_options=variables, direct=kwargs)
        return [base64.b64encode(pack()).decode()]


def pack() -> bytes:
    """The zip application. Bytes that depend on nothing but the rules: no times, no owners, one order."""
    contents = {"__main__.py": START.encode(), "coinpilot_ops/__init__.py": b""}
    contents.update(("coinpilot_ops/" + path.name, path.read_bytes()) for path in RULES.glob("*.py"))
    packed = io.BytesIO()
    packed.write(SHEBANG)
    with zipfile.ZipFile(packed, "a") as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, contents[name])
    return packed.getvalue()
