"""Protocol versions, courses, visits, reminders and answers."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, and_, or_, text, update
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import protocol as protocols
from bot.domain.protocol import Protocol
from bot.domain.states import (
    CourseState,
    MessageState,
    PatientState,
    Reason,
    ReminderState,
    VisitState,
)
from bot.storage.tables import (
    Action,
    Answer,
    Course,
    Message,
    Patient,
    Practitioner,
    ProtocolVersion,
    Reminder,
    Visit,
)


async def approved_protocols(session: AsyncSession, clinic_id: int) -> Sequence[ProtocolVersion]:
    """Return the clinic's approved protocol versions, the newest approval of each name first."""
    found = await session.exec(
        select(ProtocolVersion)
        .where(
            ProtocolVersion.clinic_id == clinic_id, col(ProtocolVersion.approved_at).is_not(None)
        )
        .order_by(col(ProtocolVersion.approved_at).desc(), col(ProtocolVersion.id).desc())
    )
    return found.all()


async def protocol_version(session: AsyncSession, version_id: int) -> ProtocolVersion:
    """Return the protocol version with that id."""
    return await session.get_one(ProtocolVersion, version_id)


async def protocol_version_by_content(
    session: AsyncSession, clinic_id: int, name: str, version: int, content_hash: str
) -> ProtocolVersion | None:
    """Return the clinic's row for exactly this content, or nothing."""
    found = await session.exec(
        select(ProtocolVersion).where(
            ProtocolVersion.clinic_id == clinic_id,
            ProtocolVersion.name == name,
            ProtocolVersion.version == version,
            ProtocolVersion.content_hash == content_hash,
        )
    )
    return found.first()


async def protocol(session: AsyncSession, version_id: int) -> Protocol:
    """Return the protocol of a stored version; each is parsed once."""
    known: dict[int, Protocol] = session.info["protocols"]
    if version_id not in known:
        row = await protocol_version(session, version_id)
        known[version_id] = protocols.parse(row.name, row.content, f"protocols/{row.name}")
    return known[version_id]


async def recent_protocols(session: AsyncSession, clinic_id: int) -> list[str]:
    """Return protocol names by their latest use, most recent first."""
    found = await session.exec(
        select(ProtocolVersion.name, func.max(Course.id))
        .join(Course, col(Course.protocol_version_id) == col(ProtocolVersion.id))
        .where(Course.clinic_id == clinic_id)
        .group_by(col(ProtocolVersion.name))
        .order_by(func.max(Course.id).desc())
    )
    return [name for name, _ in found.all()]


async def course(session: AsyncSession, course_id: int) -> Course:
    """Return the course with that id."""
    return (await session.exec(select(Course).where(Course.id == course_id))).one()


async def courses(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[Course]:
    """Return these patients' courses, oldest first."""
    found = await session.exec(
        select(Course).where(col(Course.patient_id).in_(patient_ids)).order_by(col(Course.id))
    )
    return found.all()


async def visits(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[Visit]:
    """Return these patients' visits, in the order in which they were entered."""
    found = await session.exec(
        select(Visit)
        .where(col(Visit.patient_id).in_(patient_ids))
        .order_by(col(Visit.id))
        .execution_options(populate_existing=True)
    )
    return found.all()


async def visit(session: AsyncSession, visit_id: int) -> Visit:
    """Return the visit with that id."""
    found = await session.exec(
        select(Visit).where(Visit.id == visit_id).execution_options(populate_existing=True)
    )
    return found.one()


async def visit_by_ref(session: AsyncSession, clinic_id: int, ref: str) -> Visit | None:
    """Return the clinic's visit with that reference."""
    found = await session.exec(select(Visit).where(Visit.clinic_id == clinic_id, Visit.ref == ref))
    return found.first()


async def visits_between(
    session: AsyncSession, clinic_id: int, start: datetime, end: datetime
) -> Sequence[Visit]:
    """Return the clinic's planned and done visits with a time in ``[start, end)``, by time."""
    moment = func.coalesce(Visit.done_at, Visit.planned_at)
    found = await session.exec(
        select(Visit)
        .join(Patient, col(Patient.id) == col(Visit.patient_id))
        .where(
            Visit.clinic_id == clinic_id,
            col(Visit.state).in_([VisitState.PLANNED, VisitState.DONE]),
            moment >= start,
            moment < end,
            col(Patient.is_test).is_(False),
        )
        .order_by(moment)
    )
    return found.all()


async def patients_to_book(
    session: AsyncSession, clinic_id: int, start: datetime, day: date
) -> Sequence[Patient]:
    """Return the patients in care with a course that leads nowhere, newest first.

    Nothing is booked from ``start`` on, and no date from ``day`` on is planned to book for.
    """
    latest, later, booked = aliased(Visit), aliased(Visit), aliased(Visit)
    planned_for = (
        select(latest.id)
        .where(
            latest.course_id == Course.id,
            latest.state == VisitState.DONE,
            col(latest.target_date) >= day,
            ~select(later.id)
            .where(
                later.course_id == Course.id,
                later.state == VisitState.DONE,
                col(later.done_at) > col(latest.done_at),
            )
            .exists(),
        )
        .exists()
    )
    ahead = (
        select(booked.id)
        .where(
            booked.course_id == Course.id,
            booked.state == VisitState.PLANNED,
            col(booked.planned_at) >= start,
        )
        .exists()
    )
    leads_nowhere = (
        select(Course.id)
        .where(
            Course.patient_id == Patient.id,
            Course.state == CourseState.ACTIVE,
            ~planned_for,
            ~ahead,
        )
        .exists()
    )
    found = await session.exec(
        select(Patient)
        .where(
            Patient.clinic_id == clinic_id,
            Patient.state == PatientState.ACTIVE,
            col(Patient.is_test).is_(False),
            col(Patient.booking_requests).is_(True),
            leads_nowhere,
        )
        .order_by(col(Patient.id).desc())
    )
    return found.all()


async def reminders(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[Reminder]:
    """Return every reminder of these patients, by time."""
    found = await session.exec(
        select(Reminder)
        .where(col(Reminder.patient_id).in_(patient_ids))
        .order_by(col(Reminder.due_at), col(Reminder.id))
        .execution_options(populate_existing=True)
    )
    return found.all()


async def reminders_of_message(session: AsyncSession, message_id: int) -> Sequence[Reminder]:
    """Return the reminders that go with that message, by step time."""
    found = await session.exec(
        select(Reminder)
        .where(Reminder.message_id == message_id)
        .order_by(col(Reminder.due_at), col(Reminder.id))
    )
    return found.all()


async def anything_to_do(session: AsyncSession, now: datetime) -> bool:
    """Say whether a reminder is due or over, or a pause has ended; most rounds find nothing."""
    due = select(Reminder.id).where(
        Reminder.state == ReminderState.PLANNED,
        col(Reminder.message_id).is_(None),
        or_(col(Reminder.due_at) <= now, col(Reminder.expires_at) <= now),
    )
    rested = select(Patient.id).where(col(Patient.paused_until) <= now)
    found = await session.exec(select(or_(due.exists(), rested.exists())))
    return bool(found.one())


async def expire_reminders(session: AsyncSession, now: datetime) -> int:
    """End every reminder whose time of use is over and that no message carries; return how many."""
    waiting = (
        col(Reminder.state) == ReminderState.PLANNED,
        col(Reminder.message_id).is_(None),
        col(Reminder.expires_at) <= now,
    )
    # Whoever is being planned for has other dates in a moment: judge by those.
    await session.exec(
        select(Patient.id)
        .where(col(Patient.id).in_(select(Reminder.patient_id).where(*waiting)))
        .order_by(col(Patient.id))
        .with_for_update(key_share=True)
    )
    doubted = await session.exec(
        update(Reminder)
        .where(*waiting, col(Reminder.maybe_sent).is_(True))
        .values(state=ReminderState.UNDELIVERED, reason=Reason.UNCONFIRMED, final_at=now)
    )
    paused = select(Patient.id).where(col(Patient.paused_until).is_not(None))
    skipped = await session.exec(
        update(Reminder)
        .where(*waiting, col(Reminder.outlook).is_not(None))
        .values(state=ReminderState.SKIPPED, reason=Reminder.outlook, final_at=now)
    )
    held = await session.exec(
        update(Reminder)
        .where(*waiting, col(Reminder.patient_id).in_(paused))
        .values(state=ReminderState.EXPIRED, reason=Reason.PAUSED, final_at=now)
    )
    late = await session.exec(
        update(Reminder)
        .where(*waiting)
        .values(state=ReminderState.EXPIRED, reason=Reason.TOO_LATE, final_at=now)
    )
    return doubted.rowcount + skipped.rowcount + held.rowcount + late.rowcount


async def fell_due(session: AsyncSession, until: datetime) -> Sequence[Reminder]:
    """Return the unfinished reminders that were due by ``until`` and that no message carries."""
    found = await session.exec(
        select(Reminder)
        .where(
            Reminder.state == ReminderState.PLANNED,
            col(Reminder.message_id).is_(None),
            col(Reminder.due_at) <= until,
        )
        .order_by(col(Reminder.due_at), col(Reminder.id))
    )
    return found.all()


async def patients_with_due_reminders(session: AsyncSession, now: datetime) -> list[int]:
    """Return patients for whom something is due now and may be judged, longest due first."""
    found = await session.exec(
        select(Reminder.patient_id, func.min(Reminder.due_at))
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(
            Reminder.state == ReminderState.PLANNED,
            col(Reminder.message_id).is_(None),
            col(Reminder.due_at) <= now,
            Patient.state == PatientState.ACTIVE,
            or_(col(Patient.paused_until).is_(None), col(Reminder.safety).is_(True)),
        )
        .group_by(col(Reminder.patient_id))
        .order_by(func.min(Reminder.due_at), col(Reminder.patient_id))
    )
    return [patient_id for patient_id, _ in found.all()]


async def patients_piled_up(session: AsyncSession, before: datetime) -> Sequence[int]:
    """Return patients for whom several unsent messages wait whose steps were due by ``before``."""
    found = await session.exec(
        select(Message.patient_id)
        .join(Reminder, col(Reminder.message_id) == col(Message.id))
        .join(Patient, col(Patient.id) == col(Message.patient_id))
        .where(
            # In the very words of the index: see the queries of the outbox.
            text("message.state IN ('queued', 'sending')"),
            col(Message.state) == MessageState.QUEUED,
            col(Message.maybe_copies) == 0,
            col(Message.due_at) <= before,
            col(Reminder.due_at) <= before,
            col(Reminder.state) == ReminderState.PLANNED,
            col(Patient.is_test).is_(False),
        )
        .group_by(col(Message.patient_id))
        .having(func.count(col(Message.id).distinct()) > 1)
        .order_by(col(Message.patient_id))
    )
    return [patient_id for patient_id in found if patient_id is not None]


async def next_due_at(session: AsyncSession, after: datetime) -> datetime | None:
    """Return when the next reminder after ``after`` falls due, for a patient who receives them."""
    found = await session.exec(
        select(func.min(Reminder.due_at))
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(
            Reminder.state == ReminderState.PLANNED,
            col(Reminder.message_id).is_(None),
            col(Reminder.due_at) > after,
            col(Reminder.outlook).is_(None),
            Patient.state == PatientState.ACTIVE,
            or_(col(Patient.paused_until).is_(None), col(Reminder.safety).is_(True)),
        )
    )
    return found.one()


async def test_running(session: AsyncSession, telegram_id: int) -> bool:
    """Say whether a test course of that account still has messages to come."""
    found = await session.exec(
        select(Reminder.id)
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(
            Patient.telegram_id == telegram_id,
            col(Patient.is_test).is_(True),
            Reminder.state == ReminderState.PLANNED,
        )
        .limit(1)
    )
    return found.first() is not None


async def patients_left_behind(
    session: AsyncSession, message_ids: Collection[int]
) -> Sequence[int]:
    """Return the patients to whom these messages brought a round that its visit has left."""
    found = await session.exec(
        select(Reminder.patient_id)
        .join(Visit, col(Visit.id) == col(Reminder.visit_id))
        .where(col(Reminder.message_id).in_(message_ids), col(Reminder.round) < col(Visit.round))
        .distinct()
        .order_by(col(Reminder.patient_id))
    )
    return found.all()


async def next_visit_at(session: AsyncSession, after: datetime) -> datetime | None:
    """Return the time of the first booked visit after ``after``."""
    found = await session.exec(
        select(func.min(Visit.planned_at))
        .join(Patient, col(Patient.id) == col(Visit.patient_id))
        .where(
            Visit.state == VisitState.PLANNED,
            col(Visit.planned_at) > after,
            col(Patient.is_test).is_(False),
        )
    )
    return found.one()


async def overdue_visits(session: AsyncSession, before: datetime) -> Sequence[Visit]:
    """Return booked visits whose time lies before ``before`` and that nobody recorded.

    Those of a patient just handled by somebody else are left to the next look.
    """
    found = await session.exec(
        select(Visit)
        .join(Patient, col(Patient.id) == col(Visit.patient_id))
        .where(
            Visit.state == VisitState.PLANNED,
            col(Visit.planned_at) <= before,
            col(Patient.is_test).is_(False),
        )
        .order_by(col(Visit.id))
        .with_for_update(key_share=True, skip_locked=True, of=[Visit, Patient])
    )
    return found.all()


async def missed_checks(
    session: AsyncSession, clinic_id: int, since: datetime
) -> Sequence[Patient]:
    """Return patients to whom a safety check since ``since`` came too late or not at all."""
    missed = select(Reminder.patient_id).where(
        Reminder.clinic_id == clinic_id,
        col(Reminder.safety).is_(True),
        col(Reminder.state).in_([ReminderState.EXPIRED, ReminderState.UNDELIVERED]),
        col(Reminder.final_at) >= since,
    )
    found = await session.exec(
        select(Patient)
        .where(
            col(Patient.id).in_(missed),
            col(Patient.is_test).is_(False),
            Patient.state != PatientState.ERASED,
        )
        .order_by(col(Patient.id))
    )
    return found.all()


# In the very words of the index ``reminder_unlisted``.
_UNLISTED = text("reminder.state IN ('expired', 'undelivered') AND reminder.listed_at IS NULL")
_FOR_THE_LIST = and_(
    col(Reminder.reason).in_([Reason.TOO_LATE, Reason.UNCONFIRMED]),
    # What was past when its visit was booked was never to be sent.
    col(Reminder.final_at) > col(Reminder.created_at),
)


async def anything_unlisted(session: AsyncSession) -> bool:
    """Say whether a step that was not sent has not been handed over yet."""
    found = await session.exec(select(Reminder.id).where(_UNLISTED).limit(1))
    return found.first() is not None


async def list_unseen(session: AsyncSession, now: datetime) -> None:
    """Mark what needs no list as listed: of tests, of the erased, or what was told in another way.

    A pause is somebody's wish; a patient whom Telegram does not reach was reported at once.
    """
    nobody = select(Patient.id).where(
        or_(col(Patient.is_test).is_(True), col(Patient.state) == PatientState.ERASED)
    )
    await session.exec(
        update(Reminder)
        .where(_UNLISTED, or_(~_FOR_THE_LIST, col(Reminder.patient_id).in_(nobody)))
        .values(listed_at=now)
        .execution_options(synchronize_session=False)
    )


async def practitioners_to_hand_over_to(session: AsyncSession) -> Sequence[Practitioner]:
    """Return who treats the patients with steps that were not sent and not handed over."""
    treated = (
        select(Patient.practitioner_id)
        .join(Reminder, col(Reminder.patient_id) == col(Patient.id))
        .where(_UNLISTED)
    )
    found = await session.exec(
        select(Practitioner).where(col(Practitioner.id).in_(treated)).order_by(col(Practitioner.id))
    )
    return found.all()


async def hand_over(
    session: AsyncSession, practitioner_id: int, now: datetime, *, first: int
) -> tuple[int, int, Sequence[Reminder]]:
    """Mark as listed what was not sent to this practitioner's patients.

    Returns how many steps, of how many patients, and the ``first`` of them: safety, then by time.
    """
    own = select(Patient.id).where(col(Patient.practitioner_id) == practitioner_id)
    theirs = (_UNLISTED, col(Reminder.patient_id).in_(own))
    counted = await session.exec(
        select(func.count(), func.count(func.distinct(Reminder.patient_id))).where(*theirs)
    )
    steps, patients = counted.one()
    found = await session.exec(
        select(Reminder)
        .where(*theirs)
        .order_by(col(Reminder.safety).desc(), col(Reminder.due_at), col(Reminder.id))
        .limit(first)
    )
    rows = found.all()
    await session.exec(
        update(Reminder)
        .where(*theirs)
        .values(listed_at=now)
        .execution_options(synchronize_session=False)
    )
    return steps, patients, rows


def _unsent(clinic_id: int, since: datetime) -> ColumnElement[bool]:
    return and_(
        col(Reminder.clinic_id) == clinic_id,
        col(Reminder.state).in_([ReminderState.EXPIRED, ReminderState.UNDELIVERED]),
        _FOR_THE_LIST,
        col(Reminder.final_at) >= since,
        col(Patient.is_test).is_(False),
        col(Patient.state) != PatientState.ERASED,
    )


async def unsent(
    session: AsyncSession, clinic_id: int, since: datetime, *, limit: int, offset: int
) -> Sequence[Reminder]:
    """Return the clinic's steps that were not sent since then: newest first, checks before all."""
    found = await session.exec(
        select(Reminder)
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(_unsent(clinic_id, since))
        .order_by(
            col(Reminder.final_at).desc(), col(Reminder.safety).desc(), col(Reminder.id).desc()
        )
        .limit(limit)
        .offset(offset)
    )
    return found.all()


async def count_unsent(session: AsyncSession, clinic_id: int, since: datetime) -> int:
    """Return how many they are."""
    found = await session.exec(
        select(func.count(col(Reminder.id)))
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(_unsent(clinic_id, since))
    )
    return found.one()


async def finish_reminders(
    session: AsyncSession,
    message_ids: Collection[int],
    state: ReminderState,
    reason: Reason | None,
    now: datetime,
) -> None:
    """Put the final state of messages on the reminders that they carried."""
    await session.exec(
        update(Reminder)
        .where(
            col(Reminder.message_id).in_(message_ids),
            col(Reminder.state) == ReminderState.PLANNED,
        )
        .values(state=state, reason=reason, final_at=now)
    )


async def prove_reminders(session: AsyncSession, message_id: int, now: datetime) -> None:
    """Take the reminders of a message that did arrive as sent, also if that was given up."""
    doubted = and_(
        col(Reminder.state) == ReminderState.UNDELIVERED,
        col(Reminder.reason) == Reason.UNCONFIRMED,
    )
    await session.exec(
        update(Reminder)
        .where(
            col(Reminder.message_id) == message_id,
            or_(col(Reminder.state) == ReminderState.PLANNED, doubted),
        )
        .values(state=ReminderState.SENT, reason=None, final_at=now)
    )


async def latest_answer(session: AsyncSession, reminder_id: int) -> Answer | None:
    """Return the newest answer to a reminder."""
    found = await session.exec(
        select(Answer)
        .where(Answer.reminder_id == reminder_id)
        .order_by(col(Answer.id).desc())
        .limit(1)
    )
    return found.first()


async def action_by_ref(session: AsyncSession, clinic_id: int, ref: str) -> Action | None:
    """Return the clinic's recorded action with that reference."""
    found = await session.exec(
        select(Action).where(Action.clinic_id == clinic_id, Action.ref == ref)
    )
    return found.first()


async def latest_action(session: AsyncSession, patient_id: int) -> Action | None:
    """Return the newest action on a patient that was not undone."""
    found = await session.exec(
        select(Action)
        .where(Action.patient_id == patient_id, col(Action.undone_at).is_(None))
        .order_by(col(Action.id).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found.first()


async def active_courses(session: AsyncSession, patient_id: int) -> Sequence[Course]:
    """Return the patient's courses that were not stopped."""
    found = await session.exec(
        select(Course)
        .where(Course.patient_id == patient_id, Course.state == CourseState.ACTIVE)
        .order_by(col(Course.id))
    )
    return found.all()


async def latest_action_by(session: AsyncSession, practitioner_id: int) -> Action | None:
    """Return the practitioner's newest action that was not undone."""
    found = await session.exec(
        select(Action)
        .where(Action.practitioner_id == practitioner_id, col(Action.undone_at).is_(None))
        .order_by(col(Action.id).desc())
        .limit(1)
    )
    return found.first()


async def reminder_by_ref(session: AsyncSession, ref: str) -> Reminder | None:
    """Return the reminder with that reference."""
    return (await session.exec(select(Reminder).where(Reminder.ref == ref))).first()
