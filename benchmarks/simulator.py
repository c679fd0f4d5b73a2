"""The local Telegram of the demo in a process of its own, with as many people as it is told."""

import asyncio
import sys

from bot.clock import SystemClock
from bot.demo.telegram import LocalTelegram


async def _main(people: int) -> None:
    telegram = LocalTelegram(now=SystemClock().now)
    for _ in range(people):
        telegram.person("Ana").started = True
    async with telegram.serve() as server:
        print(server.base_url, flush=True)
        # Whoever started this process ends it by closing its input, even by dying.
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
