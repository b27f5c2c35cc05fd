"""The tunnel's SSH entry, written on the control machine without asking the host."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stack_on_host import Play

FORWARDS = {18501: 8501, 15678: 5678, 13000: 3000, 19090: 9090}


def test_the_entry_leads_to_the_four_ports_of_the_host(play: Play, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host other\n    User someone\n")
    variables = {"tunnel_ssh_directory": str(tmp_path), "tunnel_alias": "coinpilot-test"}
    said = play("playbooks/tunnel.yml", variables).expect_success().output
    for port in FORWARDS:
        assert f"http://localhost:{port}" in said
    assert "PowerShell" in said

    seen = subprocess.run(["ssh", "-G", "-F", str(tmp_path / "config"), "coinpilot-test"], check=True,
                          capture_output=True, text=True).stdout.splitlines()
    assert {"hostname 127.0.0.1", "user ubuntu", "port 2223"} <= set(seen)
    forwards = {line for line in seen if line.startswith("localforward")}
    assert forwards == {f"localforward [127.0.0.1]:{here} [127.0.0.1]:{there}" for here, there in FORWARDS.items()}
    assert "    User someone" in (tmp_path / "config").read_text(), "the person's own entries are gone"
    assert play("playbooks/tunnel.yml", variables).expect_success().changed == 0
