# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""What the last deploy that passed its gate put in force, as it is kept on the host."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, NamedTuple, Optional

from . import files


class Good(NamedTuple):
    """The text of the two files, and the id of the image that each reference stood for."""

    compose: str
    env: str
    images: Dict[str, str]


def directory(description: Mapping[str, Any]) -> str:
    return os.path.join(description["state_directory"], "deploy")


def path(description: Mapping[str, Any]) -> str:
    return os.path.join(directory(description), "good.json")


def read(description: Mapping[str, Any]) -> Optional[Good]:
    """None where nothing was deployed yet. OSError or ValueError where it cannot be read."""
    text = files.read_text(path(description))
    if text is None:
        return None
    state = json.loads(text)
    kinds = {"compose": str, "env": str, "images": dict}
    if not isinstance(state, dict) or not all(isinstance(state.get(key), kind) for key, kind in kinds.items()):
        # What it holds is secret: no part of it goes into the message.
        raise ValueError("it is not what a deploy writes")
    return Good(state["compose"], state["env"], state["images"])
