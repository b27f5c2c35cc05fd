"""The images of the stand-in: the host itself, and what runs on it in the place of the official images.

Every image has a key, a hash over all that goes into it, and is tagged `coinpilot-stand-in/<name>:<key>`: what is
there under its tag is up to date, and nothing on this machine ever carries an official image's name. The host's own
engine gets them under the official names.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import io
import os
import platform
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import docker
import yaml
from common import CACHE, CHECKOUT, Elapsed, StandInError, say
from docker.errors import APIError, ImageNotFound

REPOSITORY = "coinpilot-stand-in"
ENGINE_VOLUMES = f"{REPOSITORY}-engine-"
LOGS = CACHE / "stand_in_logs"
CONTEXTS = Path(__file__).resolve().parent / "images"
DESCRIPTION = CHECKOUT / "roles" / "stack" / "defaults" / "main.yml"

SUITE = "trixie"
BASE_OPTIONS = [
    "--variant=minbase",
    "--include=ca-certificates",
    # Stays in the image and so holds for every layer built on it: no manuals, no translations.
    *(f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in ("doc", "locale", "man")),
    # Stays too: waiting for the disk after each file is of no use in an image.
    "--dpkgopt=force-unsafe-io",
    '--customize-hook=find "$1/var/cache/apt" -type f -delete',
]
APT_CONFIGURATION = CONTEXTS / "debian" / "90-keep-nothing"  # stays too: neither package files nor apt's caches
# What the application's Dockerfiles build on; the other official names stand in the description of the stack.
PYTHON_IMAGE = "python:3.12-slim"
DURATIONS = {"n8n": "4 to 8 minutes the first time"}
HEARTBEAT = 30  # seconds between signs of life of a long build


@dataclass(frozen=True)
class Image:
    """One image to build: a directory with a Dockerfile, on top of the common base."""

    name: str
    official: str = ""  # the name the compose file and the Dockerfiles use
    arguments: dict[str, str] = field(default_factory=dict)
    duration: str = "under a minute"

    @functools.cached_property
    def tag(self) -> str:
        digest = hashlib.sha256(base_tag().encode())
        for key, value in sorted(self.arguments.items()):
            digest.update(f"{key}={value}\0".encode())
        for path in self.files():
            digest.update(f"{path.relative_to(self.context)}\0{path.stat().st_mode & 0o111:o}\0".encode())
            digest.update(path.read_bytes())
        return f"{REPOSITORY}/{self.name}:{digest.hexdigest()[:12]}"

    @property
    def context(self) -> Path:
        return CONTEXTS / self.name

    def files(self) -> list[Path]:
        return sorted(path for path in self.context.rglob("*") if path.is_file() and path.suffix != ".pyc")


def base_tag() -> str:
    inputs = [SUITE, platform.machine(), *BASE_OPTIONS, APT_CONFIGURATION.read_text(encoding="utf-8")]
    return f"{REPOSITORY}/debian:{hashlib.sha256('\0'.join(inputs).encode()).hexdigest()[:12]}"


HOST = Image("host")


def host_image() -> str:
    return HOST.tag


@functools.cache
def workloads() -> list[Image]:
    """One per official image in the description of the stack; an engine's directory has the engine's name."""
    description = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    found = [Image("python", PYTHON_IMAGE)]
    for service in (*description["stack_services"].values(), *description["stack_metrics_services"].values()):
        if "image" not in service:
            continue
        engine, official = service["engine"], service["image"]
        # The version is used where it can be chosen (n8n) or has to be claimed (Grafana's double).
        arguments = {"VERSION": official.rpartition(":")[2]}
        found.append(Image(engine, official, arguments, DURATIONS.get(engine, "under a minute")))
    return found


def engine_volume() -> str:
    """The volume that holds a host's engine with all these images in it."""
    tags = " ".join(image.tag for image in workloads())
    return f"{ENGINE_VOLUMES}{hashlib.sha256(tags.encode()).hexdigest()[:12]}"


def build(client: docker.DockerClient) -> None:
    """Build what is missing; says nothing when all is there."""
    if not _missing(client):
        return
    with one_at_a_time():
        missing = _missing(client)  # whoever held the lock may have built it
        elapsed = Elapsed()
        base_is_missing = not _exists(client, base_tag())
        progress = Progress(len(missing) + base_is_missing)
        if base_is_missing:
            _build_base(client, progress)
        # The slowest first; two at a time, because one waits for the network most of the time.
        missing.sort(key=lambda image: image.name != "n8n")
        with ThreadPoolExecutor(max_workers=2) as pool:
            for _ in pool.map(lambda image: _build_one(client, image, progress), missing):
                pass
        if missing:
            say(f"images: all built in {elapsed}")


def clean(client: docker.DockerClient) -> None:
    """Remove every image of the stand-in, of this and of earlier versions, and the logs of their builds."""
    tags = [tag for image in client.images.list() for tag in image.tags if tag.startswith(f"{REPOSITORY}/")]
    hosts = [c.name for tag in tags for c in client.containers.list(all=True, filters={"ancestor": tag})]
    if hosts:
        names = ", ".join(sorted(set(hosts)))
        raise StandInError(f"Still there: {names}. Remove each with 'stand_in.py down --name NAME' first.")
    for tag in tags:
        client.images.remove(tag)
    remove_engine_volumes(client)
    shutil.rmtree(LOGS, ignore_errors=True)


def engine_volumes(client: docker.DockerClient) -> list[str]:
    return [volume.name for volume in client.volumes.list(filters={"name": ENGINE_VOLUMES})]


def remove_engine_volumes(client: docker.DockerClient, keep: str | None = None) -> None:
    for name in engine_volumes(client):
        if name != keep:
            # One that is just being copied stays until the next time.
            with contextlib.suppress(APIError):
                client.volumes.get(name).remove()


class Progress:
    """Numbers the steps across threads."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._next = 0
        self._lock = threading.Lock()

    def begin(self, text: str) -> str:
        with self._lock:
            self._next += 1
            label = f"[{self._next}/{self._total}]"
        say(f"{label} {text} ...")
        return label


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """A demo and a test run that start together build everything once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("images: another run is building them; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _missing(client: docker.DockerClient) -> list[Image]:
    return [image for image in (HOST, *workloads()) if not _exists(client, image.tag)]


def _exists(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _build_base(client: docker.DockerClient, progress: Progress) -> None:
    elapsed = Elapsed()
    label = progress.begin(f"Debian {SUITE} base: packages from the mirror (15 s to 1 min)")
    with tempfile.TemporaryDirectory(prefix="coinpilot-ops-") as directory:
        tar = Path(directory) / "base.tar"
        command = ["env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "mmdebstrap", *BASE_OPTIONS]
        command += [f"--customize-hook=copy-in {APT_CONFIGURATION} /etc/apt/apt.conf.d", SUITE, str(tar)]
        if os.geteuid() != 0:
            command.insert(0, "sudo")
        log = _log_path("debian")
        with log.open("wb") as output:
            result = subprocess.run(command, stdout=output, stderr=output, check=False)
        if result.returncode != 0:
            raise StandInError(_failure("the Debian base", log))
        repository, _, key = base_tag().partition(":")
        client.api.import_image_from_file(str(tar), repository=repository, tag=key)
    say(f"{label} Debian {SUITE} base: done in {elapsed}")


def _build_one(client: docker.DockerClient, image: Image, progress: Progress) -> None:
    elapsed = Elapsed()
    label = progress.begin(f"{image.name} image ({image.duration})")
    log = _log_path(image.name)
    done = threading.Event()

    def heartbeat() -> None:
        while not done.wait(HEARTBEAT):
            say(f"{label} {image.name} image: still at it after {elapsed}")

    threading.Thread(target=heartbeat, daemon=True).start()
    try:
        with log.open("w", encoding="utf-8") as output:
            for event in _docker_build(client, image):
                output.write(event.get("stream", ""))
                output.flush()
                if "error" in event:
                    output.write(event["error"] + "\n")
                    output.flush()
                    raise StandInError(_failure(f"the {image.name} image", log))
    finally:
        done.set()
    say(f"{label} {image.name} image: done in {elapsed}")


def _docker_build(client: docker.DockerClient, image: Image) -> Iterator[dict[str, str]]:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in image.files():
            tar.add(path, arcname=str(path.relative_to(image.context)))
        if image.name == "n8n":
            # What this machine trusts, for its package registry may be behind a proxy that inspects TLS.
            authorities = ssl.get_default_verify_paths().cafile
            if authorities:
                tar.add(os.path.realpath(authorities), arcname="ca-certificates.crt")
    archive.seek(0)
    try:
        yield from client.api.build(
            fileobj=archive,
            custom_context=True,
            tag=image.tag,
            buildargs={"BASE": base_tag(), **image.arguments},
            rm=True,
            forcerm=True,
            decode=True,
        )
    except APIError as error:
        yield {"error": error.explanation or str(error)}


def _log_path(name: str) -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / f"build-{name}.log"


def _failure(what: str, log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"Building {what} failed: {lines[-1] if lines else 'no output'} (whole log: {log})"
