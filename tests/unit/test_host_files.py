"""The module that makes many directories and files in one round trip."""

from __future__ import annotations

import base64
import getpass
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.coinpilot.ops.plugins.modules import host_files

ME = getpass.getuser()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run_module(check: bool = False, **arguments: Any) -> dict[str, Any]:
        for items in arguments.values():
            for item in items:
                item.setdefault("owner", ME)
                item["path"] = str(item["path"])
        with patch_module_args({**arguments, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            host_files.main()
        return dict(json.loads(capsys.readouterr().out))

    return run_module


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_second_run_changes_nothing(run: Any, tmp_path: Path) -> None:
    def wanted() -> dict[str, Any]:
        return {"directories": [{"path": tmp_path / "a" / "b", "mode": "0750"}],
                "files": [{"path": tmp_path / "a" / "b" / "c", "content": "한글\n", "mode": "0640"}]}

    first = run(**wanted())
    assert first["changed"] and first["paths"] == [str(tmp_path / "a/b"), str(tmp_path / "a/b/c")]
    assert (tmp_path / "a/b/c").read_text(encoding="utf-8") == "한글\n"
    assert (mode(tmp_path / "a"), mode(tmp_path / "a/b"), mode(tmp_path / "a/b/c")) == (0o755, 0o750, 0o640)
    second = run(**wanted())
    assert not second["changed"] and second["paths"] == [] and second["diff"] == []


def test_check_mode_shows_and_leaves_all_alone(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old\n")
    files = [{"path": tmp_path / "file", "content": "new\n"}, {"path": tmp_path / "new/file", "content": "x"}]
    result = run(check=True, directories=[{"path": tmp_path / "new"}], files=files)
    assert result["paths"] == [str(tmp_path / name) for name in ("new", "file", "new/file")]
    assert "old\n" in result["diff"][1]["before"] and "new\n" in result["diff"][1]["after"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old\n"


def test_a_changed_mode_is_set_right(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("same\n")
    file.chmod(0o600)
    result = run(directories=[{"path": tmp_path, "mode": "0700"}], files=[{"path": file, "content": "same\n"}])
    assert result["paths"] == [str(file)]
    assert mode(file) == 0o644


@pytest.mark.parametrize(("item", "said"), [
    ({"path": "in-the-way", "owner": ME}, "a directory belongs there"),
    ({"path": "new", "owner": "nobody-by-this-name"}, "the host has no user 'nobody-by-this-name'"),
    ({"path": "new", "mode": "u=rwx"}, "octal digits"),
])
def test_what_cannot_be_is_said(run: Any, tmp_path: Path, item: dict[str, str], said: str) -> None:
    (tmp_path / "in-the-way").write_text("")
    result = run(directories=[{**item, "path": tmp_path / item["path"]}])
    assert result["failed"] and said in result["msg"]


def test_a_directory_in_the_way_of_a_file_is_said(run: Any, tmp_path: Path) -> None:
    assert "a file belongs there" in run(files=[{"path": tmp_path, "content": ""}])["msg"]


def test_what_is_no_text_is_written_byte_by_byte_and_shown_by_its_sum(run: Any, tmp_path: Path) -> None:
    data = bytes(range(256)) + b"\r\n" + "한글".encode()

    def wanted() -> list[dict[str, Any]]:
        return [{"path": tmp_path / "program", "content_base64": base64.b64encode(data).decode(), "mode": "0755"}]

    first = run(files=wanted())
    assert (tmp_path / "program").read_bytes() == data and mode(tmp_path / "program") == 0o755
    assert first["diff"][0]["after"].splitlines()[1].startswith(f"# binary, {len(data)} bytes, sha256 ")
    assert not run(files=wanted())["changed"]
    (tmp_path / "program").write_bytes(data[:-1])
    again = run(files=wanted())
    assert f"# binary, {len(data) - 1} bytes, " in again["diff"][0]["before"]
    assert (tmp_path / "program").read_bytes() == data


@pytest.mark.parametrize(("item", "said"), [
    ({}, "one of the following is required: content, content_base64"),
    ({"content": "x", "content_base64": "eA=="}, "mutually exclusive"),
    ({"content_base64": "not Base64"}, "content_base64 is no Base64"),
])
def test_one_content_is_given(run: Any, tmp_path: Path, item: dict[str, str], said: str) -> None:
    assert said in run(files=[{**item, "path": tmp_path / "file"}])["msg"]
    assert not (tmp_path / "file").exists()


def test_a_file_made_by_hand_is_kept_once_and_for_good(run: Any, tmp_path: Path) -> None:
    file, keep = tmp_path / "backup.sh", tmp_path / "by-hand"
    kept = keep / str(file).lstrip("/")

    def write(content: str) -> None:
        run(files=[{"path": file, "content": content, "keep_original": str(keep)}])

    file.write_bytes(b"by hand, \xff and all\r\n")
    run(check=True, files=[{"path": file, "content": "# coinpilot.ops 1\n", "keep_original": str(keep)}])
    assert not keep.exists()
    write("# coinpilot.ops 1\n")
    assert file.read_text() == "# coinpilot.ops 1\n" and kept.read_bytes() == b"by hand, \xff and all\r\n"
    assert mode(kept) == 0o600
    file.write_text("by hand once more\n")
    write("# coinpilot.ops 2\n")
    assert kept.read_bytes() == b"by hand, \xff and all\r\n"


def test_what_this_collection_wrote_is_not_kept(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in ("# Written by coinpilot.ops.\n", "# Written by coinpilot.ops, newer.\n"):
        run(files=[{"path": file, "content": content, "keep_original": str(tmp_path / "by-hand")}])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_purge_removes_what_this_collection_wrote_and_no_longer_wants(run: Any, tmp_path: Path) -> None:
    for name, text in (("kept", "coinpilot.ops"), ("gone", "coinpilot.ops"), ("by-hand", "mine")):
        (tmp_path / name).write_text(text)
    (tmp_path / "directory").mkdir()

    def wanted() -> dict[str, Any]:
        return {"directories": [{"path": tmp_path, "purge": True, "mode": f"{mode(tmp_path):04o}"}],
                "files": [{"path": tmp_path / "kept", "content": "coinpilot.ops"}]}

    assert run(check=True, **wanted())["paths"] == [str(tmp_path / "gone")] and (tmp_path / "gone").exists()
    result = run(**wanted())
    assert result["paths"] == [str(tmp_path / "gone")] and "coinpilot.ops" in result["diff"][0]["before"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["by-hand", "directory", "kept"]
    assert not run(**wanted())["changed"]
