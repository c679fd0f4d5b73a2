"""One update being handled: its transaction, who is asking, and the short ways to answer them."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane
from bot.services import menus, outbox
from bot.services.deps import Deps
from bot.services.outbox import Rows
from bot.storage import sealed
from bot.storage.queries import people
from bot.storage.tables import Clinic, Dialogue, Message, Patient, Practitioner


@dataclass(frozen=True, slots=True)
class Account:
    """The Telegram account that spoke."""

    id: int
    first_name: str = ""
    username: str = ""
    language_code: str = ""
    last_name: str = ""

    @property
    def name(self) -> str:
        """The name that its owner chose: anybody may choose anybody's."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(slots=True)
class Turn:
    """What a handler and its service work with; everything done in it is one commit."""

    session: AsyncSession
    deps: Deps
    now: datetime
    update_id: int
    clinic: Clinic
    account: Account
    practitioner: Practitioner | None = None
    patient: Patient | None = None
    # The number of the message in the chat: the one typed, or the one whose button was tapped.
    message_id: int | None = None
    tapped: bool = False
    # What the toast of a tap says: a key of the labels' ``toasts`` section.
    toast: str = ""
    failure: BaseException | None = None
    # The person has turned to another patient; true also when what they tapped there is refused.
    has_turned: bool = False

    @classmethod
    def by_the_clock(
        cls, session: AsyncSession, deps: Deps, clinic: Clinic, patient: Patient, now: datetime
    ) -> "Turn":
        """Return a turn that nobody began: what time brings about for a patient."""
        account = Account(patient.telegram_id or 0)
        return cls(session, deps, now, 0, clinic, account, patient=patient)

    @property
    def clinic_zone(self) -> ZoneInfo:
        """The clinic's zone."""
        return ZoneInfo(self.clinic.timezone)

    @property
    def today(self) -> date:
        """The day it is at the clinic."""
        return self.now.astimezone(self.clinic_zone).date()

    @property
    def language(self) -> str:
        """The language of the person who is asking."""
        return self.patient.language if self.patient is not None else self.clinic.language

    def menu_key(self, typed: str) -> str:
        """Return which label of the menu a text is, in any language; ``""`` when it is none."""
        catalogue = self.deps.catalogue
        keys = {key for rows in menus.KEYS.values() for row in rows for key in row}
        for language in catalogue.languages:
            for key in keys:
                if typed.strip() == catalogue.label(language, "buttons", key):
                    return key
        return ""

    async def tell_patient(
        self,
        patient: Patient,
        template: str,
        values: Mapping[str, Any] | None = None,
        rows: Rows = (),
        *,
        lane: Lane = Lane.REPLY,
        menu: str = "",
        visit_id: int | None = None,
        file: str = "",
        pictures: Mapping[str, Any] | None = None,
    ) -> Message | None:
        """Queue a message for a patient; nothing for one who has not opened the link."""
        if patient.telegram_id is None:
            return None
        return await outbox.to_patient(
            self.session,
            patient,
            template,
            self.now,
            values=values,
            rows=rows,
            lane=lane,
            menu=menu,
            visit_id=visit_id,
            file=file,
            pictures=pictures,
        )

    async def tell(
        self,
        practitioner: Practitioner,
        template: str,
        values: Mapping[str, Any] | None = None,
        rows: Rows = (),
        *,
        patient: Patient | None = None,
        lane: Lane = Lane.REPLY,
        menu: str = "",
        visit_id: int | None = None,
        report: str | None = None,
        due_at: datetime | None = None,
    ) -> Message | None:
        """Queue a new message for a practitioner; ``report`` names what it brings of a patient."""
        return await outbox.to_practitioner(
            self.session,
            practitioner,
            template,
            self.now,
            language=self.clinic.language,
            values=values,
            rows=rows,
            patient=patient,
            lane=lane,
            menu=menu,
            visit_id=visit_id,
            report=report,
            due_at=due_at,
        )

    async def screen(
        self,
        template: str,
        values: Mapping[str, Any] | None = None,
        rows: Rows = (),
        *,
        patient: Patient | None = None,
    ) -> None:
        """Show the asking practitioner a screen: in place of the one tapped, else anew."""
        if self.practitioner is None:
            return
        await outbox.to_practitioner(
            self.session,
            self.practitioner,
            template,
            self.now,
            language=self.clinic.language,
            values=values,
            rows=rows,
            patient=patient,
            edits=self.message_id if self.tapped else None,
        )

    async def own_screen(
        self,
        patient: Patient,
        template: str,
        values: Mapping[str, Any] | None = None,
        rows: Rows = (),
        *,
        lane: Lane = Lane.REPLY,
    ) -> None:
        """Show the asking patient a screen of theirs: in place of the one tapped, else anew."""
        await outbox.to_patient(
            self.session,
            patient,
            template,
            self.now,
            values=values,
            rows=rows,
            lane=lane,
            edits=self.message_id if self.tapped else None,
        )

    async def awaiting(self) -> tuple[str, dict[str, Any]]:
        """Return what this chat was asked to type, and what was noted with the question."""
        dialogue = await people.dialogue(self.session, self.account.id)
        if dialogue is None:
            return "", {}
        return dialogue.awaiting, sealed.read(self.session, dialogue)

    async def forget_text_about_others(self, patient: Patient | None = None) -> None:
        """Wait no longer for what was to be typed about anybody else than this patient, if any.

        Whoever turns to one patient has left the other: words typed now must not reach that one.
        """
        awaiting, notes = await self.awaiting()
        about = patient.ref if patient is not None else None
        if awaiting and notes.get("patient") not in (None, about):
            self.has_turned = True
            await self.await_text("")

    async def await_text(self, what: str, **notes: Any) -> None:
        """Remember what the next typed text of this chat will be; ``""`` forgets it."""
        dialogue = await people.dialogue(self.session, self.account.id)
        if dialogue is None:
            dialogue = Dialogue(chat_id=self.account.id, awaiting=what, updated_at=self.now)
        dialogue.awaiting, dialogue.updated_at = what, self.now
        sealed.write(self.session, dialogue, notes)
        self.session.add(dialogue)
        await self.session.flush()


# Set while an update is handled, so that a handler finds its transaction without a global.
current_turn: ContextVar[Turn] = ContextVar("current_turn")
