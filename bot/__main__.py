"""The way in, for ``aftercare`` and ``python -m bot``: stoppable from its first moment on."""

import os
import signal
import sys
from types import FrameType

_STOPPABLE = ("run", "demo")


def main() -> None:
    """Run a command; a bot that is told to stop while it still loads just ends."""
    if sys.argv[1:2] and sys.argv[1] in _STOPPABLE:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
    # Loading everything takes a second, and much longer on a busy machine.
    from bot.cli import main as run_command

    run_command()


def _end(_number: int, _frame: FrameType | None) -> None:
    # Nothing is under way yet; an exception could be caught by whatever is being imported.
    os._exit(0)


if __name__ == "__main__":
    main()
