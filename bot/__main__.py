"""``python -m bot`` is ``aftercare``."""

from bot.cli import main

if __name__ == "__main__":
    main()
