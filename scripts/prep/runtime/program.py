"""Entry point of every program: logging, signals, and one clear line for an error that the user can mend."""

import argparse
import errno
import json
import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from prep.runtime.process_group import end_with_parent
from prep.runtime.sanitize import SanitizingFormatter, register_environment_secrets, sanitize

log = logging.getLogger("prep")


class UserError(Exception):
    """An error that a user can cause and mend: one line that says what, where, and what to do.

    Its text is sanitized, since it may quote a server or a hub.
    """

    def __str__(self) -> str:
        return sanitize(super().__str__())


class Parser(argparse.ArgumentParser):
    """An argument parser that reads `--settings JSON` as the flags that its keys name.

    So a rule declares all that decides an output as one param: `{"take": -1}` is `--take=-1`.
    A flag that is wrong ends in one line: users set some by variables of make.
    """

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {sanitize(' '.join(message.split()))}\n")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        if "--settings" in words:
            at = words.index("--settings")
            settings = json.loads(words[at + 1])
            words[at : at + 2] = [word for key, value in settings.items() for word in _flag(key, value)]
        return super().parse_known_args(words, namespace)


def _flag(key: str, value: Any) -> list[str]:
    """A setting as words of a command: none for null, one a value of a list; JSON for mappings, bools."""
    flag = f"--{key.replace('_', '-')}"
    if value is None:
        return []
    if isinstance(value, list):
        return [flag, *map(str, value)]
    return [f"{flag}={json.dumps(value) if isinstance(value, (dict, bool)) else value}"]


def parser(doc: str | None) -> Parser:
    """A parser headed by the program's docstring; flags have no defaults (config.yaml has)."""
    return Parser(description=doc, allow_abbrev=False, epilog="--settings JSON gives flags by name.")


def run(main: Callable[[], None], outlive_parent: bool = False) -> None:
    """Run a program's main(); a UserError or an OSError ends in one clear last line and exit code 1.

    Where nobody reads any more what is printed (`| head`), it ends without a word, as by SIGPIPE.
    SIGTERM unwinds the stack like Ctrl-C, so that context managers close what they opened. Both exit with
    128 + the signal's number. SIGHUP, which a closed terminal sends, is taken as SIGTERM. The end of the
    workflow that runs the program is a SIGTERM too, unless it is to `outlive_parent`. Any other exception is
    a bug and keeps its traceback.
    All output is sanitized (see prep.runtime.sanitize).
    """
    register_environment_secrets()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SanitizingFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    sys.excepthook = _show_traceback
    for chatty in ("httpx", "httpx2"):  # it logs each request; a URL may be signed
        logging.getLogger(chatty).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    if not outlive_parent:
        end_with_parent()
    try:
        try:
            main()
        finally:
            if sys.stdout:  # None where it was closed
                sys.stdout.flush()
    except (UserError, OSError) as error:
        _fail(error)
    except KeyboardInterrupt:
        log.info("interrupted")
        sys.exit(128 + signal.SIGINT)


def check_replaceable(path: Path) -> None:
    """Raise UserError where a file to write is a device, a pipe or a folder, which it would replace."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no file, and would be replaced by one; name another")


def _fail(error: UserError | OSError) -> NoReturn:
    """End for an error. What could not be printed is dropped: the end of Python would try it again."""
    is_unread = isinstance(error, BrokenPipeError) and _is_unread()
    if isinstance(error, OSError) and sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if is_unread:
        sys.exit(128 + signal.SIGPIPE)
    sys.exit(f"error: {sanitize(' '.join(_words(error).split()))}")


def _is_unread() -> bool:
    """Whether the reader of standard output is gone; a broken pipe may be another one."""
    if not sys.stdout:
        return False
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return bool(poll.poll(0))


def _words(error: UserError | OSError) -> str:
    """Return the message of an error, with advice where the disk is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename or "a file"
        return f"{where}: {error.strerror}; free some space there (df shows where), and run again"
    return str(error)


def _show_traceback(*error: Any) -> None:
    sys.stderr.write(sanitize("".join(traceback.format_exception(*error))))


def _terminated(number: int, _frame: object) -> None:
    # The kernel may repeat the signal, for each thread of a killed workflow. Closing goes on.
    signal.signal(number, signal.SIG_IGN)
    log.info("terminated")
    sys.exit(128 + number)
