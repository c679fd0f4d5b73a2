"""``aftercare run`` that does not listen first for another bot: nobody waits for it here."""

from bot import cli
from bot.incoming import alone


def run() -> None:
    """Run the bot; whether it is alone is a story of its own (test_two_processes)."""
    alone.LISTEN_S = 0.0
    cli.main(["run"])


if __name__ == "__main__":
    run()
