"""The addresses that a program and all its processes connect to, seen by the kernel, whatever their language.

A seccomp filter has the kernel stop each call that names another address (`connect`, `sendto`, `sendmsg`,
`sendmmsg`) and tell this process of it, which notes the address and lets the call go on. It needs no root
and no tracer, but Linux 5.5 or newer (see seccomp_unotify(2)). A look-up of a name is seen as well: it
connects to a name server or to the cache daemon's socket.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""

_NUMBERS = {  # of seccomp, connect, sendto, sendmsg, sendmmsg; and AUDIT_ARCH_…
    "x86_64": (317, 42, 44, 46, 307, 0xC000003E),
    "aarch64": (277, 203, 206, 211, 269, 0xC00000B7),
}
_SECCOMP, _CONNECT, _SENDTO, _SENDMSG, _SENDMMSG, _ARCHITECTURE = _NUMBERS.get(platform.machine(), (-1,) * 6)
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_RET_NOTIFY, _RET_ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
_NOTICE = struct.Struct("=QIIiIQ6Q")  # id, pid, flags, call, architecture, instruction, arguments
_POINTER_AND_LENGTH = struct.Struct("=QI")  # what struct msghdr begins with
_MMSGHDR = 64  # bytes of struct mmsghdr


def observed(work: Callable[[], Any]) -> tuple[Any, set[Address]]:
    """What `work()` gives, and each address that it and all processes that it starts connect or send to.

    It runs in a thread of its own, since a filter holds the thread that sets it, and what that thread starts.
    Ends when the last of these has ended.
    """
    found: set[Address] = set()
    done: dict[str, Any] = {}
    listener, ready = [], threading.Event()

    def run() -> None:
        try:
            listener.append(_install())
        except OSError as error:
            done["error"] = error
            return
        finally:
            ready.set()
        try:
            done["value"] = work()
        except BaseException as error:
            done["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    if listener:
        try:
            _note_all(listener[0], found)
        finally:
            os.close(listener[0])
    thread.join()
    if "error" in done:
        raise done["error"]
    return done["value"], found


def _install() -> int:
    """Set the filter for this thread and what it starts; the descriptor at which its notices come."""
    load, equal, answer = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET
    calls = (_CONNECT, _SENDTO, _SENDMSG, _SENDMMSG)
    code = [(load, 0, 0, 4), (equal, 0, 5, _ARCHITECTURE)]  # another architecture's calls are let through
    code += [(load, 0, 0, 0), *((equal, 4 - n, 0, call) for n, call in enumerate(calls))]
    code += [(answer, 0, 0, _RET_ALLOW), (answer, 0, 0, _RET_NOTIFY)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    whole = Program(len(code), ctypes.addressof(program))
    descriptor = libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(whole))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no seccomp filter can be set here: {os.strerror(number)}")
    return descriptor


def _note_all(listener: int, found: set[Address]) -> None:
    """Note addresses until no process is left that the filter holds."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        for _, events in poll.poll():
            if events & select.POLLIN:
                _note(listener, found)
            elif events & select.POLLHUP:
                return


def _note(listener: int, found: set[Address]) -> None:
    notice = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
        id, pid, _, call, _, _, *arguments = _NOTICE.unpack(notice)
        found.update(_addresses(pid, call, arguments))
        fcntl.ioctl(listener, _SEND, struct.pack("=QqiI", id, 0, 0, _CONTINUE))
    except OSError as error:
        if error.errno != errno.ENOENT:  # the process was killed meanwhile
            raise


def _addresses(pid: int, call: int, arguments: list[int]) -> set[Address]:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:

        def read(place: int, length: int) -> bytes:
            memory.seek(place)
            return memory.read(length)

        if call == _CONNECT:
            places = [(arguments[1], arguments[2])]
        elif call == _SENDTO:
            places = [(arguments[4], arguments[5])]
        else:
            count = arguments[2] if call == _SENDMMSG else 1
            heads = [read(arguments[1] + n * _MMSGHDR, _POINTER_AND_LENGTH.size) for n in range(count)]
            places = [_POINTER_AND_LENGTH.unpack(head) for head in heads]
        read_all = [read(place, min(length, 128)) for place, length in places if place]
    return {address for data in read_all if (address := _address(data))}


def _address(data: bytes) -> Address | None:
    """What a struct sockaddr names; None for the kernel itself (netlink) and for nothing."""
    family = int.from_bytes(data[:2], "little")
    port = int.from_bytes(data[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(family, data[4:8]), port
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, data[8:24]), port
    if family == socket.AF_UNIX:
        return os.fsdecode(data[2:].partition(b"\0")[0])
    return None if family in (socket.AF_UNSPEC, socket.AF_NETLINK) else f"address family {family}"
