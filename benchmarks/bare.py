"""The least that a bot of this library can be: a process that sends one message and stays."""

import asyncio
import os
import sys

from telegram import Bot


async def _main() -> None:
    base_url = f"{os.environ['TELEGRAM_API_URL']}/bot"
    async with Bot(os.environ["TELEGRAM_BOT_TOKEN"], base_url=base_url) as sender:
        await sender.send_message(1, "One message")
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
