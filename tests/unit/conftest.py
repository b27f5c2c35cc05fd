"""Lets the tests import the collection by its name, as Ansible does, from the checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))
