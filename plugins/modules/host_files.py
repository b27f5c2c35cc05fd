#!/usr/bin/python
# Copyright (c) the CoinPilot operators
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many directories and files in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Make directories and files, all in one round trip
version_added: 0.1.0
author: The CoinPilot operators (@coinpilot)
description:
  - Makes the directories, then the files, with the content, mode and owner given. A file appears whole or not at all.
  - What a task a file would do in as many round trips. Not for secrets - contents are shown in the diff.
notes:
  - A file made by hand is told from one made by this collection by the word C(coinpilot.ops) in the latter.
options:
  directories:
    description: The directories, parents first.
    type: list
    elements: dict
    default: []
    suboptions:
      path: &path
        description: Absolute path.
        type: path
        required: true
      mode:
        description: Mode in octal digits.
        type: str
        default: "0755"
      purge:
        description:
          - Remove the files in it that this collection has written, and that are not among O(files). What was put there
            by hand stays.
        type: bool
        default: false
      owner: &owner
        description: A user of the host. The group is this user's own.
        type: str
        default: root
  files:
    description: The files. Their directories are there, or among O(directories).
    type: list
    elements: dict
    default: []
    suboptions:
      path: *path
      content:
        description: The whole content. This or O(files[].content_base64).
        type: str
      content_base64:
        description: The whole content in Base64, for what is no text. The diff tells its size and SHA-256.
        type: str
      keep_original:
        description:
          - Directory under which a file made by hand is kept, with its whole path, before it is replaced. Once - what
            is kept there already stays as it is.
        type: path
      mode:
        description: Mode in octal digits.
        type: str
        default: "0644"
      owner: *owner
attributes:
  check_mode:
    description: Says what would change and changes nothing.
    support: full
  diff_mode:
    description: Shows the contents, modes and owners that differ.
    support: full
  idempotent:
    description: The second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Directory and configuration of the metrics server
  coinpilot.ops.host_files:
    directories:
      - path: /opt/coin-pilot/monitoring
    files:
      - path: /opt/coin-pilot/monitoring/prometheus.yml
        content: "{{ lookup('ansible.builtin.template', 'prometheus.yml.j2') }}"
"""

RETURN = r"""
paths:
  description: The paths that were changed.
  returned: always
  type: list
  elements: str
  sample: [/opt/coin-pilot/monitoring/prometheus.yml]
"""

import base64
import glob
import hashlib
import os
import pwd
import stat
from typing import Any, Dict, List, Optional, Set

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coinpilot.ops.plugins.module_utils import files

# In every file that this collection writes.
MARK = "coinpilot.ops"


def main() -> None:
    path: Dict[str, Any] = {"path": {"type": "path", "required": True}}
    owner: Dict[str, Any] = {"owner": {"type": "str", "default": "root"}}
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **path,
                    "mode": {"type": "str", "default": "0755"},
                    "purge": {"type": "bool", "default": False},
                    **owner,
                },
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **path,
                    "content": {"type": "str"},
                    "content_base64": {"type": "str"},
                    "keep_original": {"type": "path"},
                    "mode": {"type": "str", "default": "0644"},
                    **owner,
                },
                "mutually_exclusive": [("content", "content_base64")],
                "required_one_of": [("content", "content_base64")],
            },
        },
        supports_check_mode=True,
    )
    # Parents that nobody names are to be passable, whatever the login's mask is.
    os.umask(0o022)
    changes: List[Dict[str, Any]] = []
    try:
        for item in module.params["directories"]:
            changes += _directory(item, module.check_mode)
        for item in module.params["files"]:
            changes += _file(item, module.check_mode)
        kept = {item["path"] for item in module.params["files"]}
        for item in module.params["directories"]:
            if item["purge"]:
                changes += _purge(item["path"], kept, module.check_mode)
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error), paths=[change["after_header"] for change in changes])
    module.exit_json(changed=bool(changes), diff=changes, paths=[change["after_header"] for change in changes])


def _directory(item: Dict[str, Any], check_mode: bool) -> List[Dict[str, Any]]:
    path = item["path"]
    before, after = _attributes(path), _wanted(item)
    if before and not os.path.isdir(path):
        raise ValueError(f"{path} is in the way: a directory belongs there; move it aside")
    if before == after:
        return []
    if not check_mode:
        os.makedirs(path, exist_ok=True)
        _set_attributes(item)
    return [_difference(path, _line(before), _line(after))]


def _file(item: Dict[str, Any], check_mode: bool) -> List[Dict[str, Any]]:
    path, content = item["path"], _content(item)
    before, after = _attributes(path), _wanted(item)
    if os.path.isdir(path):
        raise ValueError(f"{path} is in the way: a file belongs there; move it aside")
    # A text that stands for any bytes, so that what is no text is compared and written in the same way.
    text = files.read_text(path, "surrogateescape") if before else None
    if before == after and text == content:
        return []
    if not check_mode:
        if text == content:
            _set_attributes(item)
        else:
            if text is not None and item["keep_original"] and MARK not in text:
                _keep(path, text, item["keep_original"])
            files.write(files.File(path, content, int(item["mode"], 8), item["owner"]))
    show = _show_text if item["content_base64"] is None else _show_binary
    return [_difference(path, _line(before) + show(text), _line(after) + show(content))]


def _purge(directory: str, kept: Set[str], check_mode: bool) -> List[Dict[str, Any]]:
    changes = []
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*"))):
        text = files.read_text(path) if path not in kept and os.path.isfile(path) else None
        if text is not None and MARK in text:
            changes.append(_difference(path, _line(_attributes(path)) + text, ""))
            if not check_mode:
                os.unlink(path)
    return changes


def _content(item: Dict[str, Any]) -> str:
    if item["content_base64"] is None:
        return str(item["content"])
    try:
        return base64.b64decode(item["content_base64"], validate=True).decode("utf-8", "surrogateescape")
    except ValueError:
        raise ValueError(f"{item['path']}: content_base64 is no Base64") from None


def _keep(path: str, text: str, directory: str) -> None:
    kept = os.path.join(directory, path.lstrip("/"))
    if not os.path.lexists(kept):
        os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
        files.write(files.File(kept, text, 0o600))


def _show_text(text: Optional[str]) -> str:
    return (text or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _show_binary(text: Optional[str]) -> str:
    if text is None:
        return ""
    data = text.encode("utf-8", "surrogateescape")
    return f"# binary, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}\n"


def _wanted(item: Dict[str, Any]) -> Dict[str, str]:
    if not set(item["mode"]) <= set("01234567") or not item["mode"]:
        raise ValueError(f"{item['path']}: the mode must be octal digits such as '0755'; it is '{item['mode']}'")
    _user(item["owner"])
    return {"mode": f"{int(item['mode'], 8):04o}", "owner": item["owner"]}


def _attributes(path: str) -> Optional[Dict[str, str]]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return {"mode": f"{stat.S_IMODE(status.st_mode):04o}", "owner": owner}


def _set_attributes(item: Dict[str, Any]) -> None:
    entry = _user(item["owner"])
    # In this order: changing the owner clears the set-user and set-group bits.
    os.chown(item["path"], entry.pw_uid, entry.pw_gid)
    os.chmod(item["path"], int(item["mode"], 8))


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"the host has no user '{name}': create it, or name another one") from None


def _line(attributes: Optional[Dict[str, str]]) -> str:
    return f"# mode {attributes['mode']}, owner {attributes['owner']}\n" if attributes else ""


def _difference(path: str, before: str, after: str) -> Dict[str, Any]:
    return {"before_header": path, "after_header": path, "before": before, "after": after}


if __name__ == "__main__":
    main()
