"""The child: takes its limits upon itself, reads one request, answers, ends."""

import resource
import sys

from bot.pictures import wire

MOST_MEMORY = 640 * 1024 * 1024
MOST_SECONDS = 10
MOST_FILES = 24
_MOST_REQUEST = wire.LONGEST_HEAD + wire.MOST_CELLS * wire.LONGEST_PICTURE


def limit() -> None:
    """Take away what a decoder that went astray could do harm with, for good."""
    for what, most in (
        (resource.RLIMIT_AS, MOST_MEMORY),
        (resource.RLIMIT_CPU, MOST_SECONDS),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        # No file is written, not even a core: the answer goes through the pipe.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def main() -> None:
    """Answer the request that stands on the standard input."""
    limit()
    # Under the limits already: the decoders are loaded by these.
    from bot.pictures import judging, sheets

    task, pictures = wire.request(sys.stdin.buffer.read(_MOST_REQUEST))
    match task:
        case wire.Task.JUDGE:
            answer = judging.judge(pictures[0])
        case wire.Task.PAIRS:
            answer = sheets.pairs(pictures)
        case wire.Task.SHEET:
            answer = sheets.sheet(pictures)
    sys.stdout.buffer.write(wire.packed_answer(answer))


if __name__ == "__main__":
    main()
