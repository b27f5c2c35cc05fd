# Copyright (c) the CoinPilot operators
# MIT License (see LICENSE)
"""A deploy that ends healthy or ends where it began.

`prepare` proves the wanted compose file and `.env` and makes the images ready; nothing that runs is touched. `deploy`
puts the two files in place, lets Compose change what differs and watches every service until all are healthy and stay
so. When they do not, the last files and images that passed come back. That last good state is kept on the host and
changes only when a gate has been passed: a run that is cut off anywhere is finished, or undone, by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from typing import Any, Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set

from . import deploy_state, dotenv, files, findings, health, preflight, preflight_verdict, watch
from .compose import Compose, ComposeError, complete_environment, release_key, tail
from .deploy_messages import MESSAGES
from .deploy_state import Good
from .engine import Engine, EngineError

LOG_LINES = 20
RELEASES_KEPT = 3
# Compose gives an empty text for a key that is not there, with no more than a warning. `$$` stands for a dollar sign.
_REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
HEADER = "Written by coinpilot.ops from the inventory; what is changed here is overwritten."


class DeployError(Exception):
    """A deploy that did not happen or was undone. ``changed`` says whether the host is another one than before."""

    def __init__(self, message: str, changed: bool = False):
        super().__init__(message)
        self.changed = changed


class Plan(NamedTuple):
    """What is wanted on the host. ``secrets`` and ``settings`` are the keys of `.env`; the first go nowhere else."""

    description: Dict[str, Any]
    compose_text: str
    secrets: Dict[str, str]
    settings: Dict[str, str]
    release: str


class Limits(NamedTuple):
    """Seconds: until all are healthy, that they must stay so, and to wait for another deploy to end."""

    healthy: float = 300
    settle: float = 15
    lock: float = 600


class Result(NamedTuple):
    """``before`` and ``after`` map a file's name to its text, where of `.env` only the names of keys are told."""

    changed: bool
    before: Dict[str, str]
    after: Dict[str, str]
    restarted: List[str]


class Deployment:
    """One stack on this host, now and as planned."""

    def __init__(self, plan: Plan, limits: Limits, engine: Optional[Engine] = None):
        self.plan = plan
        self.limits = limits
        self.engine = engine or Engine()
        description = plan.description
        self.directory = description["directory"]
        self.compose_path = os.path.join(self.directory, description["compose_file"])
        self.env_path = os.path.join(self.directory, ".env")
        self.state = deploy_state.directory(description)
        self.good = deploy_state.path(description)
        self.log_path = os.path.join(description["log_directory"], "deploy.log")
        self.env_values = complete_environment(
            description["services"], dict({"TZ": description["timezone"]}, **plan.settings, **plan.secrets))
        self.env_values[release_key(description)] = plan.release
        self.env_text = dotenv.render(self.env_values, HEADER)
        hidden = set(complete_environment(description["services"], plan.secrets).values())
        self.hidden = sorted((value for value in hidden if len(value) >= 4), key=len, reverse=True)

    # What would change ------------------------------------------------------------------------------------------

    def difference(self) -> Result:
        """What a deploy would change of the two files. Of `.env` only the names of keys are told, never values."""
        before_env = dotenv.parse(files.read_text(self.env_path) or "")
        before = {self.compose_path: files.read_text(self.compose_path) or "", self.env_path: _names(before_env, {})}
        after = {self.compose_path: self.plan.compose_text, self.env_path: _names(self.env_values, before_env)}
        return Result(self._files_differ(), before, after, [])

    def would_change(self) -> Result:
        """The difference, and whether a container would be created or restarted though the files are as wanted."""
        result = self.difference()
        return result if result.changed else result._replace(changed=not self._as_wanted(self._conditions()))

    def _files_differ(self) -> bool:
        return not all(files.is_in_place(file) for file in self._wanted(self.plan.compose_text, self.env_text))

    # Before anything that runs is touched -----------------------------------------------------------------------

    def prepare(self, rebuild: bool = False) -> bool:
        """Proves the wanted files and makes the images ready. True when something was built or pulled."""
        with self._lock(), self._directory_of_candidate() as directory:
            compose_path = os.path.join(directory, self.plan.description["compose_file"])
            env_path = os.path.join(directory, ".env")
            files.write(files.File(compose_path, self.plan.compose_text, 0o600),
                        files.File(env_path, self.env_text, 0o600))
            candidate = self._compose(compose_path, env_path)
            resolved = self._prove(candidate)
            self._prove_safe(compose_path, env_path)
            return self._prepare_images(candidate, resolved, rebuild)

    @contextlib.contextmanager
    def _directory_of_candidate(self) -> Iterator[str]:
        """For the files to be proved. One that a run which was killed left behind holds secrets: it goes."""
        for left in glob.glob(os.path.join(self.state, "candidate-*")):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix="candidate-", dir=self.state) as directory:
            yield directory

    def _prove(self, candidate: Compose) -> Dict[str, Any]:
        """The project as Compose resolves it, once it reads all as meant."""
        try:
            resolved = candidate.resolved()
            arrived = candidate.environment(sorted(self.env_values))
        except ComposeError as problem:
            raise self._error("invalid", detail=self._mask(str(problem))) from problem
        altered = [key for key, value in self.env_values.items() if arrived.get(key) != value]
        if altered:
            raise self._error("env_altered", keys=", ".join(altered))
        unset = sorted({key for pair in _REFERENCE.findall(self.plan.compose_text) for key in pair if key}
                       - set(self.env_values))
        if unset:
            raise self._error("unset", keys=", ".join(unset))
        missing = sorted(set(self.plan.description["services"]) - set(resolved["services"]))
        if missing:
            raise self._error("services_missing", services=", ".join(missing))
        return resolved

    def _prove_safe(self, compose_path: str, env_path: str) -> None:
        """The security preflight of the files. What it cannot tell is refused as well."""
        found = preflight.run(preflight.of_candidate(self.plan.description, compose_path, env_path))
        if findings.problems(found):
            detail = preflight_verdict.render_problems(found, self.plan.description["language"])
            raise self._error("unsafe", detail=self._mask(detail))

    def _prepare_images(self, candidate: Compose, resolved: Mapping[str, Any], rebuild: bool) -> bool:
        """Builds what is built here and pulls what is not, where this host lacks it. True when anything was done."""
        images = {name: service["image"] for name, service in resolved["services"].items()}
        built = [name for name, service in self.plan.description["services"].items() if service.get("dockerfile")]
        source = self.plan.description["source_directory"]
        lacking = {name for name, image in images.items() if self.engine.image_id(image) is None}
        to_build = [name for name in built if rebuild or name in lacking]
        for name in to_build:
            dockerfile = self.plan.description["services"][name]["dockerfile"]
            if not os.path.isfile(os.path.join(source, dockerfile)):
                raise self._error("no_source", dockerfile=dockerfile, directory=source, service=name)
        to_pull = sorted(lacking - set(built))
        for action, names in (("pull", to_pull), ("build", to_build)):
            if names:
                self._note("%s: %s" % (action, ", ".join(names)))
                try:
                    candidate.run(action, *(["--pull"] if rebuild and action == "build" else []), *names)
                except ComposeError as problem:
                    raise self._error(action, services=", ".join(names), detail=self._mask(str(problem))) from problem
        return bool(to_pull or to_build)

    # The deploy -------------------------------------------------------------------------------------------------

    def deploy(self) -> Result:
        """Puts the candidate in place and watches it. Raises DeployError when it does not end healthy."""
        with self._lock():
            result = self.difference()
            before, volumes = self._conditions(), self._volumes()
            if not result.changed and self._as_wanted(before):
                self._keep_good()
                return result
            self._remember_adopted(before)
            self._note("deploy: release %s" % self.plan.release)
            self._install(self.plan.compose_text, self.env_text)
            problem = self._watched(before, self.plan.description["services"])
            if problem:
                self._note("FAILED: " + problem)
                raise self._undo(problem, before, volumes)
            after = self._conditions()
            restarted = [name for name, now in sorted(after.items())
                         if name not in before or before[name].started_at != now.started_at]
            self._keep_good()
            self._prune_releases()
            self._note("done: restarted %s" % (", ".join(restarted) or "nothing"))
            self._watch(watch.deployed(self.plan.release, restarted, len(after)))
            return result._replace(changed=result.changed or bool(restarted), restarted=restarted)

    def _as_wanted(self, conditions: Mapping[str, health.Condition]) -> bool:
        """True when every container runs, healthy, with the configuration and the image of the files in place."""
        compose = self._installed()
        hashes = compose.hashes()
        containers = health.by_service(self.engine.containers(self.plan.description["project"]))
        images = {name: service["image"] for name, service in compose.resolved()["services"].items()}
        for name, wanted in hashes.items():
            container = containers.get(name)
            if container is None or container["Config"]["Labels"].get("com.docker.compose.config-hash") != wanted:
                return False
            if container["Image"] != self.engine.image_id(images[name]):
                return False
        return all(health.progress(conditions.get(name, health.Condition("missing")), None, True) == health.HEALTHY
                   for name in hashes)

    def _watched(self, before: Mapping[str, health.Condition], names: Collection[str]) -> str:
        """Runs `up` and the gate. What went wrong, an Engine that stops answering included, or an empty text."""
        try:
            return self._up_and_watch(before, names)
        except (ComposeError, EngineError, OSError) as problem:
            return self._mask(str(problem))

    def _up_and_watch(self, before: Mapping[str, health.Condition], names: Collection[str]) -> str:
        services = self.plan.description["services"]
        process = self._installed().start("up", "--detach", "--no-build", "--pull", "never")
        output = _Output(process)
        deadline = time.monotonic() + self.limits.healthy
        try:
            while True:
                finished = output.finished()
                conditions = {name: now for name, now in self._conditions().items() if name in names}
                stages = {name: health.progress(now, before.get(name), finished, "volume" in services[name])
                          for name, now in conditions.items()}
                failed = [name for name, stage in stages.items() if stage == health.FAILED]
                pending = [name for name, stage in stages.items() if stage == health.PENDING]
                if finished and process.returncode:
                    # Compose stops at the first service that others wait for, and leaves those others merely created.
                    culprits = [name for name in failed + pending
                                if conditions[name].kind not in ("missing", "created")]
                    said = self._say("compose_up", detail=self._mask(tail(output.text(), 5)))
                    return "\n".join([said, self._describe(culprits, conditions)]) if culprits else said
                if failed:
                    return self._describe(failed, conditions)
                if finished and not pending:
                    return self._settle(conditions)
                if time.monotonic() > deadline:
                    return self._describe(pending, conditions,
                                          self._say("time_limit", seconds=int(self.limits.healthy)))
                time.sleep(0.5)
        finally:
            output.stop()

    def _settle(self, healthy: Mapping[str, health.Condition]) -> str:
        deadline = time.monotonic() + self.limits.settle
        while time.monotonic() < deadline:
            time.sleep(min(1.0, self.limits.settle))
            now = self._conditions()
            fallen = [name for name, settled in healthy.items() if health.disturbed(settled, now[name])]
            if fallen:
                return self._describe(fallen, now, self._say("disturbed", seconds=int(self.limits.settle)))
        return ""

    def _undo(self, problem: str, before: Mapping[str, health.Condition], volumes: Set[str]) -> DeployError:
        """Brings back the last good state; the error to raise says how that went."""
        good = self._read_good()
        if good is None or self._is_in_place(*good):
            new_volumes = sorted(self._volumes() - volumes)
            if new_volumes:
                problem = self._say("half_made", volumes=" ".join(new_volumes), directory=self.directory,
                                    compose_file=self.plan.description["compose_file"]) + "\n" + problem
            return self._error("nothing_to_go_back_to", changed=True, problem=problem)
        try:
            failure = self._bring_back(before, *good)
        except (ComposeError, EngineError, OSError) as trouble:
            failure = self._mask(str(trouble))
        if failure:
            self._note("rollback FAILED: " + failure)
            return self._error("not_rolled_back", changed=True, problem=problem, detail=failure)
        self._note("rolled back: healthy")
        self._watch(watch.UNDONE)
        return self._error("rolled_back", changed=False, problem=problem)

    def _is_in_place(self, compose_text: str, env_text: str, images: Mapping[str, str]) -> bool:
        """True when going back would change nothing. An image may have been built again under the same tag."""
        return ((compose_text, env_text) == (self.plan.compose_text, self.env_text)
                and all(self.engine.image_id(reference) == image_id for reference, image_id in images.items()))

    def _bring_back(self, before: Mapping[str, health.Condition], compose_text: str, env_text: str,
                    images: Mapping[str, str]) -> str:
        self._install(compose_text, env_text)
        for reference, image_id in images.items():
            if self.engine.image_id(reference) != image_id:
                self.engine.tag(image_id, reference)
        # Judged by its own services: a file made by hand may have fewer. What this deploy added to them goes again.
        names = set(self._installed().hashes())
        added = {name for name, earlier in before.items() if earlier.kind == "missing" and name not in names}
        for container in self.engine.containers(self.plan.description["project"]):
            if container["Config"]["Labels"].get("com.docker.compose.service") in added:
                self.engine.request("DELETE", "/containers/" + container["Id"], force="1")
        return self._watched(self._conditions(), names)

    def _watch(self, reason: findings.Text) -> None:
        """Begins the 24-hour watch. The deploy itself is done: what keeps the watch from it stands in the log."""
        self._note(watch.begin(self.plan.description, reason, self.engine).line("en"))

    # The last good state ----------------------------------------------------------------------------------------

    def _remember_adopted(self, before: Mapping[str, health.Condition]) -> None:
        """A stack set up by hand is the state to go back to until a deploy of ours has passed.

        What an earlier deploy of ours left is so only when it is healthy: it may be one that was cut off or failed.
        """
        texts = {path: files.read_text(path, "surrogateescape") for path in (self.compose_path, self.env_path)}
        by_hand = HEADER not in (texts[self.env_path] or "")
        if by_hand:
            self._save_by_hand({os.path.basename(path): text for path, text in texts.items() if text is not None})
        worth = by_hand or all(now.kind == "healthy" for now in before.values())
        if (worth and texts[self.compose_path] is not None and self._read_good() is None
                and self.engine.containers(self.plan.description["project"])):
            self._keep_good()

    def _save_by_hand(self, texts: Mapping[str, str]) -> None:
        """What a person wrote may be nowhere else, least of all the values of `.env`: it is kept, once and for good."""
        directory = os.path.join(self.state, "by-hand")
        new = {name: text for name, text in texts.items() if not os.path.exists(os.path.join(directory, name))}
        if new:
            files.make_directory(directory, 0o700)
            files.write(*(files.File(os.path.join(directory, name), text, 0o600) for name, text in new.items()))

    def _keep_good(self) -> None:
        """Notes what is in place, with the images that run, as the state to go back to."""
        compose_text = files.read_text(self.compose_path, "surrogateescape") or ""
        env_text = files.read_text(self.env_path, "surrogateescape") or ""
        containers = self.engine.containers(self.plan.description["project"])
        images = {container["Config"]["Image"]: container["Image"] for container in containers}
        good = Good(compose_text, env_text, images)
        if self._read_good() != good:
            files.write(files.File(self.good, json.dumps(good._asdict(), sort_keys=True), 0o600))

    def _read_good(self) -> Optional[Good]:
        return deploy_state.read(self.plan.description)

    def _prune_releases(self) -> None:
        """Removes images of older releases; the newest few stay, and the Engine keeps what a container uses."""
        for name, service in self.plan.description["services"].items():
            if not service.get("dockerfile"):
                continue
            repository = "%s/%s" % (self.plan.description["name"], name)
            images = self.engine.get("/images/json", filters={"reference": [repository]})
            for image in sorted(images, key=lambda entry: -entry["Created"])[RELEASES_KEPT:]:
                # One image may carry several tags when a change of the source did not reach it: others' tags stay,
                # and the current one, which the Engine would let go of although a container uses the image.
                for reference in image["RepoTags"] or ():
                    if reference.startswith(repository + ":") and reference != repository + ":" + self.plan.release:
                        with contextlib.suppress(EngineError):
                            self.engine.request("DELETE", "/images/" + reference)

    # Small parts ------------------------------------------------------------------------------------------------

    def _compose(self, compose_path: str, env_path: str) -> Compose:
        return Compose(self.plan.description["project"], self.directory, compose_path, env_path, self._note)

    def _installed(self) -> Compose:
        return self._compose(self.compose_path, self.env_path)

    def _wanted(self, compose_text: str, env_text: str) -> List[files.File]:
        """`.env` first: if the power fails between the two, the old compose file finds its keys in the new one."""
        owner = self.plan.description["owner"]
        return [files.File(self.env_path, env_text, 0o600, owner),
                files.File(self.compose_path, compose_text, 0o644, owner)]

    def _install(self, compose_text: str, env_text: str) -> None:
        for path in (self.env_path, self.compose_path):
            files.remove_leftovers(path)
        files.write(*self._wanted(compose_text, env_text))

    def _conditions(self) -> Dict[str, health.Condition]:
        containers = health.by_service(self.engine.containers(self.plan.description["project"]))
        return {name: health.condition(containers.get(name)) for name in self.plan.description["services"]}

    def _volumes(self) -> Set[str]:
        label = {"label": ["com.docker.compose.project=" + self.plan.description["project"]]}
        return {volume["Name"] for volume in self.engine.get("/volumes", filters=label)["Volumes"] or ()}

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One deploy at a time on a host; the kernel lets go of the lock of one that was killed."""
        files.make_directory(self.state, 0o700)
        deadline = time.monotonic() + self.limits.lock
        with open(deploy_state.lock_path(self.plan.description), "a+", encoding="ascii") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        stream.seek(0)
                        raise self._error("locked", pid=stream.read().strip(), seconds=int(self.limits.lock)) from None
                    time.sleep(1)
            stream.truncate(0)
            stream.write(str(os.getpid()))
            stream.flush()
            yield

    def _describe(self, names: List[str], conditions: Mapping[str, health.Condition], advice: str = "") -> str:
        """At most three of the services that failed, with their last lines; one that only waits for another last."""
        ranked = sorted(names, key=lambda name: (conditions[name].kind in ("missing", "created"), name))
        texts = []
        for name in ranked[:3]:
            now = conditions[name]
            log = self._last_lines(now.container_id)
            texts.append(self._say("service", service=name, condition=str(now), advice=advice,
                                   container=self.plan.description["services"][name]["container"],
                                   log=_indent(self._mask(log) or "(none)")))
        return "\n".join(texts)

    def _last_lines(self, container_id: str) -> str:
        """For the message alone: a container that has gone meanwhile, or keeps no log, must not stop the way back."""
        try:
            return self.engine.logs(container_id, LOG_LINES).rstrip() if container_id else ""
        except EngineError as problem:
            return str(problem)

    def _mask(self, text: str) -> str:
        for value in self.hidden:
            text = text.replace(value, "***")
        return text

    def _note(self, line: str) -> None:
        """Appends to the deploy log on the host, for who wants to watch: `tail -f`."""
        # A disk that is full may be why a deploy fails: it must not stop the way back as well.
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self.log_path), mode=0o750, exist_ok=True)
            with open(self.log_path, "a", encoding="utf-8", errors="replace") as stream:
                for part in self._mask(line).splitlines():
                    stream.write("%s %s\n" % (time.strftime("%Y-%m-%dT%H:%M:%S%z"), part))

    def _say(self, key: str, **fields: Any) -> str:
        return MESSAGES[key][1 if self.plan.description["language"] == "ko" else 0].format(**fields)

    def _error(self, key: str, changed: bool = False, problem: str = "", **fields: Any) -> DeployError:
        text = self._say(key, **fields)
        return DeployError(text + "\n" + problem if problem else text, changed)


class _Output:
    """Reads what a process says as it says it, so that it never waits for its reader."""

    def __init__(self, process: "subprocess.Popen[str]"):
        self.process = process
        self.lines: List[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)

    def finished(self) -> bool:
        return self.process.poll() is not None

    def text(self) -> str:
        self.reader.join(5)
        return "".join(self.lines)

    def stop(self) -> None:
        """Ends the process if the gate closed before it: what it has started is judged, not what it would do yet."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(5)


def _names(values: Mapping[str, str], before: Mapping[str, str]) -> str:
    """`.env` as a diff may show it: names, and which of them got another value."""
    marks = {key: " (another value)" for key, value in values.items() if key in before and before[key] != value}
    return "".join("%s=***%s\n" % (key, marks.get(key, "")) for key in sorted(values))


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
