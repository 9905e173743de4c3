"""How a command ends: exit statuses, signals, last words on standard error. Used by every face that is one."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence

import click

from ocr.errors import InputError, OCRError
from ocr.output.untrusted import as_shown

DONE = 0
FAILED = 1  # something could not be read, or the installation cannot serve
WRONG_USAGE = 2  # or wrong input, where the command is about one document alone
INTERRUPTED = 128 + signal.SIGINT
CLOSED_PIPE = 128 + signal.SIGPIPE  # as a shell reports a program that a closed pipe ended


def run(command: click.Command, name: str, words: Sequence[str] | None, names: Mapping[str, str]) -> int:
    """Run a command with these words, by default those of this process, and give its exit status.

    `name` is how it was called, for --help; `names` has the options' own names for `OCRError.named`. A command gives
    back its status, or None for 0. SIGTERM ends it as SystemExit does, with 128 + its number, so that nothing is left
    half done; every other end is caught here, and said on standard error.
    """
    signal.signal(signal.SIGTERM, _end_in_order)
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with command.make_context(name, list(sys.argv[1:] if words is None else words)) as context:
            status: int | None = command.invoke(context)
        sys.stdout.flush()
        return status or DONE
    except click.exceptions.Exit as end:  # after --help
        return end.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return CLOSED_PIPE
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, before)  # whoever presses it again waits for nothing
        _say("Interrupted.")
        return INTERRUPTED
    except (click.ClickException, OCRError, OSError) as error:
        _say(_last_words(error, names))
        return WRONG_USAGE if isinstance(error, click.UsageError | InputError) else FAILED
    finally:
        signal.signal(signal.SIGINT, before)


def _end_in_order(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _last_words(error: click.ClickException | OCRError | OSError, names: Mapping[str, str]) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"error: {error.format_message()}\nSee: {error.ctx.command_path} --help"
    if isinstance(error, click.ClickException):
        return f"error: {error.format_message()}"
    return f"error: {error.named(names) if isinstance(error, OCRError) else explained(error)}"


def explained(error: OSError) -> str:
    """What the system refused, without its number, and of which file."""
    return f"{error.strerror or error}" + (f" {error.filename!r}" if error.filename else "")


def _say(line: str) -> None:
    print(as_shown(line), file=sys.stderr, flush=True)
