# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""Compressed files: written from what a program says, and read back into a program that must accept it.

Every file is written once and read once, in blocks, whatever its size.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from typing import IO, Any, Dict, Iterator, NamedTuple, Sequence, Tuple, cast

from .backup_errors import BackupError
from .compose import cli_environment, tail
from .findings import FAIL, Case, Text

BLOCK = 1 << 20

CASES: Dict[str, Case] = {
    "program-failed": Case(FAIL, Text("{program} failed (exit code {code}): {said}",
                                      "{program} 실패(종료 코드 {code}): {said}"),
                           Text("mend what it says, then run this again", "메시지의 원인을 해결한 뒤 다시 실행하세요")),
    "write-failed": Case(FAIL, Text("{path} could not be written: {said}", "{path}에 쓸 수 없음: {said}"),
                         Text("make room or mend the disk (df -h {directory}), then run this again",
                              "공간을 확보하거나 디스크를 점검한 뒤(df -h {directory}) 다시 실행하세요")),
    "read-back-failed": Case(FAIL, Text("{path} cannot be read back: {said}", "{path}을(를) 다시 읽을 수 없음: {said}"),
                             Text("do not rely on this file; if a new one fails too, look at the disk: sudo dmesg",
                                  "이 파일을 믿지 마세요. 새로 만들어도 실패하면 디스크를 점검하세요: sudo dmesg")),
    "strange-content": Case(FAIL, Text("{path} holds '{member}', which is neither a file nor a directory",
                                       "{path} 안의 '{member}'은(는) 파일도 디렉터리도 아님"),
                            Text("do not use this file: no backup holds such a thing",
                                 "이 파일은 사용하지 마세요. 백업에 있을 수 없는 항목입니다")),
}


class Compression(NamedTuple):
    """A way to compress: its name in a manifest, what files end in, and the two commands (stdin to stdout)."""

    label: str
    suffix: str
    pack: Tuple[str, ...]
    unpack: Tuple[str, ...]


# A dump is mostly rows of numbers, where what repeats is near and six bytes or longer. Looking for that alone gives
# smaller files than zstd's levels up to 9 in the time of its level 6; other content is between its levels 3 and 6.
_ROWS = "strategy=5,windowLog=17,chainLog=16,hashLog=16,searchLog=3,minMatch=6"
# Best first. Each keeps a checksum of the content, which unpacking compares.
WAYS = (
    Compression("zstd " + _ROWS, ".zst", ("zstd", "--zstd=" + _ROWS, "-T0", "--check", "-qc"), ("zstd", "-dqc")),
    Compression("pigz", ".gz", ("pigz", "-c"), ("pigz", "-dc")),
    Compression("gzip", ".gz", ("gzip", "-c"), ("gzip", "-dc")),
)


class Copy(NamedTuple):
    """What was read back of a compressed file: its bytes and SHA-256."""

    size: int
    sha256: str


def best() -> Compression:
    """The best way that this host has."""
    return next(way for way in WAYS if shutil.which(way.pack[0]))


def write_output(command: Sequence[str], path: str, compression: Compression) -> int:
    """Compresses what a program writes into a new file (0600), and puts it on the disk. Bytes before compression."""
    try:
        with open(path, "xb", opener=_private) as file:
            written = _pipe(command, compression.pack, file, path)
            os.fsync(file.fileno())
            # So that reading it back reads the disk, not the memory of having written it.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as problem:
        raise _write_failed(path, problem.strerror or str(problem)) from problem
    return written


def write_directory(directory: str, path: str, compression: Compression) -> int:
    """Packs the content of a directory as a tar into a new file. Bytes before compression."""
    return write_output(("tar", "--create", "--numeric-owner", "--file", "-", "--directory", directory, "."), path,
                        compression)


def read_back(path: str, consumer: Sequence[str]) -> Copy:
    """Reads a compressed file, once, and hands its content to a program, which must end well."""
    with _said() as unpacker_said, _said() as consumer_said, open(path, "rb") as file:
        unpacker = _start(_unpacking(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=unpacker_said)
        reader = _start(consumer, stdin=unpacker.stdout, stdout=subprocess.DEVNULL, stderr=consumer_said)
        cast(IO[bytes], unpacker.stdout).close()
        with _ended(unpacker, reader):
            copy = _feed(file, cast(IO[bytes], unpacker.stdin))
            codes = [unpacker.wait(), reader.wait()]
        if any(codes):
            # When the reader gave up, the unpacker failed for that alone.
            said = _text(consumer_said) or _text(unpacker_said) or "exit codes %s" % codes
            raise BackupError("read-back-failed", path=path, said=said)
    return copy


def text(path: str) -> str:
    """The content of a small compressed text."""
    done = subprocess.run([*_unpacking(path), path], capture_output=True, env=cli_environment(), encoding="utf-8",
                          errors="surrogateescape", check=False)
    if done.returncode:
        raise BackupError("read-back-failed", path=path, said=tail(done.stderr, 1))
    return done.stdout


def compare_directory(path: str, directory: str) -> Copy:
    """Reads a tar back and compares it with the directory that it was made of, byte for byte."""
    return read_back(path, ("tar", "--compare", "--file", "-", "--directory", directory))


def unpack(path: str, directory: str) -> Copy:
    """Unpacks a tar into an empty directory of root's. Owners stay as they are; links and devices are refused."""
    copy = read_back(path, ("tar", "--extract", "--numeric-owner", "--same-owner", "--preserve-permissions",
                            "--file", "-", "--directory", directory))
    for parent, directories, names in os.walk(directory):
        for name in directories + names:
            member = os.path.join(parent, name)
            if os.path.islink(member) or not (os.path.isdir(member) or os.path.isfile(member)):
                raise BackupError("strange-content", path=path, member=os.path.relpath(member, directory))
    return copy


def _pipe(command: Sequence[str], packing: Sequence[str], file: IO[bytes], path: str) -> int:
    with _said() as producer_said, _said() as packer_said:
        producer = _start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=producer_said)
        packer = _start(packing, stdin=subprocess.PIPE, stdout=file, stderr=packer_said)
        source = cast(IO[bytes], producer.stdout)
        with _ended(producer, packer):
            written = 0
            with contextlib.suppress(BrokenPipeError), cast(IO[bytes], packer.stdin) as sink:
                for block in _blocks(source):
                    sink.write(block)
                    written += len(block)
            source.close()
            if packer.wait():
                raise _write_failed(path, _text(packer_said))
            if producer.wait():
                raise BackupError("program-failed", program=_name(command), code=producer.returncode,
                                  said=_text(producer_said))
    return written


def _feed(file: IO[bytes], sink: IO[bytes]) -> Copy:
    digest, size = hashlib.sha256(), 0
    with contextlib.suppress(BrokenPipeError), sink:
        for block in _blocks(file):
            digest.update(block)
            size += len(block)
            sink.write(block)
    return Copy(size, digest.hexdigest())


@contextlib.contextmanager
def _ended(*processes: subprocess.Popen) -> Iterator[None]:
    """No process outlives the block, however that ends."""
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _start(command: Sequence[str], stdin: Any, stdout: Any, stderr: Any) -> subprocess.Popen:
    return subprocess.Popen(list(command), stdin=stdin, stdout=stdout, stderr=stderr, env=cli_environment())


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(BLOCK), b"")


def _unpacking(path: str) -> Tuple[str, ...]:
    # A partial file ends otherwise, but its name holds the suffix.
    if ".zst" in os.path.basename(path):
        return WAYS[0].unpack
    return next(way for way in WAYS[1:] if shutil.which(way.pack[0])).unpack


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _said() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _text(said: IO[bytes]) -> str:
    said.seek(0)
    return " / ".join(tail(said.read().decode("utf-8", "replace"), 3).splitlines())


def _name(command: Sequence[str]) -> str:
    """The program that a command means; `docker exec … CONTAINER sh -c SCRIPT` is told by its container."""
    return " ".join(command[:2]) if command[0] == "docker" else command[0]


def _write_failed(path: str, said: str) -> BackupError:
    return BackupError("write-failed", path=path, directory=os.path.dirname(path), said=said)
