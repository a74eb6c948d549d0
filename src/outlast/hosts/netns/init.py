"""Process 1 of a lab, and process 1 of each host in it: starts programs, reaps them, starts hosts.

It never restarts anything: what a fault killed stays dead until the system under test, or the healing of
the fault, starts it again. The end of an init is the end of everything below it; the kernel sees to that.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from outlast.hosts.netns import messages, syscalls
from outlast.hosts.netns.request_server import RequestServer, answer, log

SOCKET_NAME: Final = "init.sock"
FILES_MAX: Final = 65536

HOST_NAMESPACES: Final = (
    syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)


@dataclass(frozen=True, slots=True)
class _Child:
    """A process that this init started. caller: who waits for its end; keep: survives that caller."""

    name: str
    caller: socket.socket | None
    keep: bool


@dataclass(frozen=True, slots=True)
class _Start:
    """What a forked child becomes. module: argv[0] names a Python function; uid: None stays who it is."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    uid: int | None
    module: bool

    @classmethod
    def read(cls, message: messages.Message) -> _Start:
        """Read it from a request. Raises ValueError."""
        argv, env, uid = message["argv"], message["env"], message.get("uid")
        if not isinstance(argv, list) or not argv or not isinstance(env, dict):
            raise ValueError("spawn wants argv and env")
        return cls(
            str(message["name"]),
            [str(word) for word in argv],
            {str(key): str(value) for key, value in env.items()},
            str(message["cwd"]),
            uid if isinstance(uid, int) else None,
            bool(message.get("module")),
        )


class Init:
    """Serve as process 1 in folder.

    writable, visible: see syscalls.isolate_mounts; passed on to the hosts.
    """

    def __init__(self, folder: Path, writable: Sequence[Path], visible: Sequence[Path]) -> None:
        self._folder = folder
        self._writable = tuple(writable)
        self._visible = tuple(visible)
        self._children: dict[int, _Child] = {}
        self._hosts: dict[str, int] = {}
        self._lifeline: int | None = None
        self._server = RequestServer(messages.listen(folder / SOCKET_NAME))
        self._server.on_disconnect = self._caller_left
        self._server.handlers = {
            "ping": lambda _message, _fds, _caller: {"pid": os.getpid()},
            "spawn": self._spawn,
            "signal": self._signal,
            "processes": lambda _message, _fds, _caller: {"processes": processes()},
            "preload": self._preload,
            "host_on": self._host_on,
            "host_off": self._host_off,
            "hosts": lambda _message, _fds, _caller: {"hosts": sorted(self._hosts)},
            "release": self._release,
        }

    def serve(self, lifeline: int | None = None) -> NoReturn:
        """Serve until killed, or until the other end of lifeline (a pipe) is closed."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._server.watch(reader, lambda: self._reap(reader))
        self._lifeline = lifeline
        if lifeline is not None:
            self._server.watch(lifeline, lambda: os._exit(0))
        self._server.serve_forever()
        raise AssertionError("serve_forever returned")

    def fork_child(self, name: str, run: Callable[[], NoReturn]) -> int:
        """Fork a process of the lab's own that runs run. Returns its pid."""
        gc.freeze()  # keeps the collector from touching, and so copying, what is shared with the child
        pid = os.fork()
        if pid == 0:
            _detach(())
            syscalls.set_process_name(name)
            _run_to_exit(run)
        self._children[pid] = _Child(name, None, True)
        return pid

    # requests

    def _spawn(self, message: messages.Message, fds: list[int], caller: socket.socket) -> messages.Message:
        start = _Start.read(message)
        if len(fds) != 3:
            raise ValueError(f"spawn wants stdin, stdout and stderr, got {len(fds)} descriptors")
        reader, writer = os.pipe2(os.O_CLOEXEC)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _run_to_exit(lambda: _become(start, fds, writer))
        os.close(writer)
        with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
            number, _, words = pipe.read().decode(errors="replace").partition(" ")
        if number:
            os.waitpid(pid, 0)
            raise OSError(int(number), words)
        self._children[pid] = _Child(start.name, caller, bool(message.get("keep")))
        return {"pid": pid}

    def _signal(self, message: messages.Message, _fds: list[int], _caller: socket.socket) -> messages.Message:
        number = int(str(message["signal"]))
        wanted = message.get("pids")
        pids = [int(pid) for pid in wanted] if isinstance(wanted, list) else []
        if "name" in message:
            pids += [pid for pid, child in self._children.items() if child.name == message["name"]]
        if message.get("tree"):
            pids = _with_descendants(pids)
        reached = []
        for pid in pids:
            if pid <= 1:
                continue
            try:
                os.kill(pid, number)
                reached.append(pid)
            except ProcessLookupError:
                continue
        return {"pids": reached}

    def _preload(
        self, message: messages.Message, _fds: list[int], _caller: socket.socket
    ) -> messages.Message:
        modules = message["modules"]
        if not isinstance(modules, list):
            raise ValueError("preload wants a list of modules")
        for module in modules:
            importlib.import_module(str(module))
        return {}

    def _host_on(
        self, message: messages.Message, _fds: list[int], _caller: socket.socket
    ) -> messages.Message:
        name, folder = str(message["name"]), Path(str(message["folder"]))
        if name in self._hosts:
            raise ValueError(f"host {name} is on already")
        reader, writer = os.pipe2(os.O_CLOEXEC)
        gc.freeze()
        middle = os.fork()
        if middle == 0:
            os.close(reader)
            _run_to_exit(lambda: self._found_host(name, folder, writer))
        os.close(writer)
        with open(reader, "rb") as pipe:  # noqa: PTH123
            said = pipe.read().decode(errors="replace")
        os.waitpid(middle, 0)
        if not said:
            raise OSError(f"host {name} did not start; why stands in the lab's init.log")
        pid = int(said)
        self._hosts[name] = pid
        self._children[pid] = _Child(f"host:{name}", None, True)
        return {"pid": pid}

    def _host_off(
        self, message: messages.Message, _fds: list[int], _caller: socket.socket
    ) -> messages.Message:
        pid = self._hosts.pop(str(message["name"]), None)
        if pid is None:
            return {"was_on": False}
        os.kill(pid, signal.SIGKILL)
        # The wait for a namespace's init ends only when everything in the namespace has gone: this is proof.
        os.waitpid(pid, 0)
        self._children.pop(pid, None)
        return {"was_on": True}

    def _release(
        self, _message: messages.Message, _fds: list[int], _caller: socket.socket
    ) -> messages.Message:
        """From now on the lab outlives the tool that made it."""
        if self._lifeline is not None:
            self._server.unwatch(self._lifeline)
            os.close(self._lifeline)
            self._lifeline = None
        return {}

    # events

    def _reap(self, reader: int) -> None:
        while True:
            try:
                if not os.read(reader, 4096):
                    break
            except BlockingIOError:
                break
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue  # an orphan that fell to us
            if child.keep:  # not a command that someone waits for: worth a line in the lab's log
                log(f"{child.name} ({pid}) ended: {os.waitstatus_to_exitcode(status)}")
            for name in [name for name, init in self._hosts.items() if init == pid]:
                del self._hosts[name]
            if child.caller is not None:
                answer(child.caller, {"exit": os.waitstatus_to_exitcode(status)})

    def _caller_left(self, caller: socket.socket) -> None:
        for pid, child in list(self._children.items()):
            if child.caller is not caller:
                continue
            self._children[pid] = _Child(child.name, None, child.keep)
            if not child.keep:
                os.kill(pid, signal.SIGKILL)

    def _found_host(self, name: str, folder: Path, ready: int) -> NoReturn:
        """In a forked child: make the host's namespaces and fork its init; once that serves, tell its pid."""
        ready = _detach((ready,))[0]
        syscalls.unshare(HOST_NAMESPACES)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid:
            os.close(writer)
            if os.read(reader, 1):
                os.write(ready, str(pid).encode())
            os._exit(0)
        os.close(ready)
        os.close(reader)
        syscalls.set_process_name(f"host:{name}")
        syscalls.sethostname(name)
        shared = [
            path
            for path in self._writable
            if path != self._folder and not path.is_relative_to(self._folder / "hosts")
        ]
        syscalls.isolate_mounts([folder, *shared], self._visible)
        os.chdir(folder)
        init = Init(folder, [folder, *shared], self._visible)
        os.write(writer, b"1")
        os.close(writer)
        init.serve()


def processes() -> list[messages.Message]:
    """Return what runs in this pid namespace: pid, parent, name and state letter of each process."""
    found: list[messages.Message] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # it has just ended
        name, _, rest = stat.partition("(")[2].rpartition(")")
        fields = rest.split()
        found.append({"pid": int(entry.name), "name": name, "state": fields[0], "parent": int(fields[1])})
    return found


def _with_descendants(pids: list[int]) -> list[int]:
    """Return pids and all processes below them, parents first."""
    children: dict[int, list[int]] = {}
    for process in processes():
        children.setdefault(int(str(process["parent"])), []).append(int(str(process["pid"])))
    found = list(pids)
    for pid in found:  # grows while it is walked
        found.extend(child for child in children.get(pid, []) if child not in found)
    return found


def _detach(keep: Sequence[int]) -> list[int]:
    """In a forked child: drop the parent's descriptors and signal handling, but for 0 to 2 and keep.

    Returns the descriptors kept, renumbered from 3.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    safe = [_move_up(fd, 3 + len(keep)) for fd in keep]
    kept = [3 + place for place in range(len(keep))]
    for fd, place in zip(safe, kept, strict=True):
        os.dup2(fd, place, inheritable=False)
    os.closerange(3 + len(keep), FILES_MAX if not kept else max(FILES_MAX, *kept))
    return kept


def _move_up(fd: int, least: int) -> int:
    """Return a duplicate of fd whose number is at least least, so that dup2 to a low one can't clobber it."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)


def _become(start: _Start, fds: list[int], failure: int) -> NoReturn:
    """In a forked child: become the program, or call the Python function that argv[0] names, without exec.

    fds: stdin, stdout and stderr; failure: a pipe that takes the errno and the words when that can't be.
    """
    argv = list(start.argv)
    stdin, stdout, stderr, pipe = _detach((*fds, failure))
    try:
        os.setsid()
        for fd, place in ((stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(fd, place, inheritable=True)
        os.chdir(start.cwd)
        if start.uid is not None:
            syscalls.become_unprivileged(start.uid)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, FILES_MAX), hard), hard))
        if not start.module:
            os.closerange(3, pipe)
            signal.signal(
                signal.SIGPIPE, signal.SIG_DFL
            )  # Python ignores it and wants it ignored; others do not
            os.execvpe(argv[0], argv, dict(start.env))
    except OSError as error:
        os.write(pipe, f"{error.errno} {argv[0]}: {error.strerror}".encode())
        os._exit(127)
    syscalls.set_process_name(start.name)  # before whoever asked for it hears that it runs
    os.closerange(3, pipe + 1)
    os.environ.clear()
    os.environ.update(start.env)
    sys.argv = argv
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    package, _, function = argv[0].partition(":")
    sys.exit(getattr(importlib.import_module(package), function)())


def _run_to_exit(run: Callable[[], NoReturn]) -> NoReturn:
    """Run a forked child's work and end the process, never returning into the parent's code."""
    code = 70
    try:
        run()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    raise AssertionError("unreachable")
