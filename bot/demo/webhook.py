"""Updates posted to the bot: in order within a chat, again and again until they are taken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram
    from bot.demo.updates import Waiting, Webhook

HEADER = "X-Telegram-Bot-Api-Secret-Token"
LONGEST_PAUSE = 60.0
ANSWER_WITHIN = 60.0


async def deliver(telegram: LocalTelegram) -> None:
    """Posts what waits for as long as the server runs; one chat's updates one at a time."""
    updates, bell = telegram.updates, telegram.bell
    busy: dict[int, asyncio.Task[None]] = {}
    while updates.webhook is None and not bell.closed:
        # a client costs 30 ms of certificates: it is made for those who use it
        await bell.wait()
    if bell.closed:
        return
    async with (
        httpx.AsyncClient(trust_env=False, timeout=ANSWER_WITHIN) as client,
        asyncio.TaskGroup() as tasks,
    ):
        while not bell.closed:
            webhook = updates.webhook
            for chat in [chat for chat, task in busy.items() if task.done()]:
                del busy[chat]
            if webhook is not None:
                for entry in updates.pending():
                    if entry.chat not in busy and len(busy) < webhook.max_connections:
                        work = _chat(telegram, client, webhook, entry.chat)
                        busy[entry.chat] = tasks.create_task(work)
            await bell.wait()
        for task in busy.values():
            task.cancel()


async def _chat(
    telegram: LocalTelegram, client: httpx.AsyncClient, webhook: Webhook, chat: int
) -> None:
    """Every update of one chat is taken, in order."""
    updates = telegram.updates
    pause = telegram.webhook_pause
    while updates.webhook is webhook and not telegram.bell.closed:
        entry = next((one for one in updates.pending() if one.chat == chat), None)
        if entry is None:
            break
        wanted = await _post(telegram, client, webhook, entry)
        if wanted is None:
            updates.drop(entry)
            pause = telegram.webhook_pause
            continue
        await asyncio.sleep(min(wanted or pause, LONGEST_PAUSE))
        pause *= 2
    # whatever came while the last answer was read must find this chat free
    asyncio.get_running_loop().call_soon(telegram.bell.ring)


async def _post(
    telegram: LocalTelegram, client: httpx.AsyncClient, webhook: Webhook, entry: Waiting
) -> float | None:
    """None when the update was taken; otherwise the pause the receiver asked for, or 0."""
    headers = {HEADER: webhook.header} if webhook.header else {}
    try:
        answer = await client.post(webhook.url, json=entry.update, headers=headers)
    except httpx.HTTPError as error:
        problem, asked = f"Connection failed: {type(error).__name__}", 0.0
    else:
        if answer.is_success:
            return None
        problem = f"Wrong response from the webhook: {answer.status_code} {answer.reason_phrase}"
        value = answer.headers.get("Retry-After", "")
        asked = float(value) if value.isdigit() else 0.0
    webhook.last_error_at, webhook.last_error = telegram.now(), problem
    telegram.bell.ring()
    return asked
