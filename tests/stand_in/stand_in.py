#!/usr/bin/env python3
"""Build and run a stand-in for the OCI host: a container that boots like a VM and is reached over SSH like one."""

from __future__ import annotations

import argparse
import re
import sys

import docker
import images
from common import StandInError
from docker.errors import DockerException
from host import Host, prepare_engine


def main() -> int:
    arguments = _parse()
    try:
        client = docker.from_env(timeout=600)
    except DockerException as error:
        print(f"No Docker engine answers: run tools/engine.sh first ({error}).", file=sys.stderr)
        return 1
    try:
        _run(client, arguments)
    except StandInError as error:
        print(error, file=sys.stderr)
        return 1
    except DockerException as error:
        print(f"The Docker engine refused: {error}", file=sys.stderr)
        return 1
    return 0


def _run(client: docker.DockerClient, arguments: argparse.Namespace) -> None:
    if arguments.command in ("build", "up"):
        images.build(client)
        prepare_engine(client)
    if arguments.command == "build":
        return
    if arguments.command == "clean":
        images.clean(client)
    elif arguments.command == "up":
        Host(client, arguments.name).up(arguments.ssh_port, arguments.hostname)
    elif arguments.command == "reboot":
        Host(client, arguments.name).reboot()
    else:
        Host(client, arguments.name).down()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stand_in.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the images that are missing")
    up = commands.add_parser("up", help="make or start a host and wait until it is reachable")
    reboot = commands.add_parser("reboot", help="restart a host and wait until it is back")
    down = commands.add_parser("down", help="remove a host with all its data")
    commands.add_parser("clean", help="remove every image and cache of the stand-in")
    for command in (up, reboot, down):
        command.add_argument("--name", required=True, type=_name, help="the container's name")
    up.add_argument("--ssh-port", required=True, type=int, help="port of this machine's loopback for SSH")
    up.add_argument("--hostname", default="coinpilot-ins", help="what the host calls itself (%(default)s)")
    return parser.parse_args()


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", text):
        raise argparse.ArgumentTypeError("lower-case letters, digits and hyphens only")
    return text


if __name__ == "__main__":
    sys.exit(main())
