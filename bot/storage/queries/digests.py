"""What a morning's digest counts, and the day of the last one."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import AlertState, PatientState, VisitState
from bot.storage.tables import Alert, Clinic, Patient, Question, Visit


async def begin(session: AsyncSession, clinic_id: int, day: date) -> bool:
    """Note the day of a clinic's digest; false when it has had that day's, or a later one."""
    first = await session.exec(
        update(Clinic)
        .where(
            col(Clinic.id) == clinic_id,
            or_(col(Clinic.digest_day).is_(None), col(Clinic.digest_day) < day),
        )
        .values(digest_day=day)
    )
    return first.rowcount == 1


async def not_closed(session: AsyncSession, clinic_id: int) -> Sequence[Alert]:
    """Return the alerts on the clinic's patients that nobody has closed, oldest first."""
    found = await session.exec(
        select(Alert)
        .join(Patient, col(Patient.id) == col(Alert.patient_id))
        .where(
            Alert.clinic_id == clinic_id,
            Alert.state != AlertState.CLOSED,
            col(Alert.is_drill).is_(False),
            col(Patient.is_test).is_(False),
            Patient.state != PatientState.ERASED,
        )
        .order_by(col(Alert.opened_at), col(Alert.id))
    )
    return found.all()


async def asked(session: AsyncSession, clinic_id: int) -> Sequence[int]:
    """Return the patient of each question that nobody has answered."""
    found = await session.exec(
        select(Question.patient_id)
        .join(Patient, col(Patient.id) == col(Question.patient_id))
        .where(
            Question.clinic_id == clinic_id,
            col(Question.answered_at).is_(None),
            col(Patient.is_test).is_(False),
            Patient.state != PatientState.ERASED,
        )
        .order_by(col(Question.id))
    )
    return found.all()


async def with_a_visit(
    session: AsyncSession, patient_ids: Collection[int], after: datetime
) -> set[int]:
    """Return those of these patients who have a visit booked after ``after``."""
    found = await session.exec(
        select(Visit.patient_id)
        .where(
            col(Visit.patient_id).in_(patient_ids),
            Visit.state == VisitState.PLANNED,
            col(Visit.planned_at) > after,
        )
        .distinct()
    )
    return set(found.all())
