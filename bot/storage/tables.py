"""The tables: columns and constraints, no behaviour."""

from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlmodel import Field, SQLModel

from bot.domain.states import (
    AlertState,
    CourseState,
    Lane,
    Level,
    MessageState,
    PatientState,
    PhotoState,
    Reason,
    ReminderState,
    UpdateState,
    VisitState,
)
from bot.storage.types import UtcDateTime, stored


def _instant(*, nullable: bool = True, index: bool = False) -> Any:
    return Column(UtcDateTime, nullable=nullable, index=index)


def _no() -> Any:
    return Column(Boolean, nullable=False, server_default=false())


def _yes() -> Any:
    return Column(Boolean, nullable=False, server_default=true())


def _number(default: int) -> Any:
    return Column(Integer, nullable=False, server_default=text(str(default)))


def _sealed() -> Any:
    return Column(LargeBinary, nullable=True)


def _chat(*, unique: bool = False, index: bool = False, primary_key: bool = False) -> Any:
    return Column(
        BigInteger,
        nullable=not primary_key,
        unique=unique,
        index=index,
        primary_key=primary_key,
        autoincrement=False,
    )


def _where(name: str, column: str, condition: str) -> Index:
    """An index of the few rows that something is still to happen to."""
    return Index(name, column, sqlite_where=text(condition), postgresql_where=text(condition))


class Clinic(SQLModel, table=True):
    """A clinic and its bot; every other row belongs to one."""

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    name: str
    sender_name: str
    timezone: str
    language: str = "en"
    phone: str
    emergency_number: str
    urgent_number: str
    urgent_place: str
    opening_hours: str
    bot_username: str = ""
    confirm_joining: bool = True
    retention_days: int = 365
    # Photos may be asked for at all; each patient agrees besides.
    photos_on: bool = Field(default=True, sa_column=_yes())
    photo_days: int = Field(default=180, sa_column=_number(180))
    # When the chain of alerts was first seen to work; before that no patient is enrolled.
    live_at: datetime | None = Field(default=None, sa_column=_instant())
    # The day of the last morning's digest, by the clinic's calendar.
    digest_day: date | None = None
    is_demo: bool = False
    created_at: datetime = Field(sa_column=_instant(nullable=False))


class Practitioner(SQLModel, table=True):
    """A person of the clinic; ``sealed`` holds name and username."""

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    telegram_id: int | None = Field(default=None, sa_column=_chat(unique=True))
    role: str = "practitioner"
    # Gets what is urgent day and night; gets what the others did not take within ten minutes.
    is_on_call: bool = Field(default=False, sa_column=_no())
    is_backup: bool = Field(default=False, sa_column=_no())
    removed_at: datetime | None = Field(default=None, sa_column=_instant())
    # Since when Telegram does not reach them; whoever speaks to the bot is reached again.
    unreachable_at: datetime | None = Field(default=None, sa_column=_instant())
    created_at: datetime = Field(sa_column=_instant(nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class Patient(SQLModel, table=True):
    """A person in a clinic's care; ``sealed`` holds name and the account that opened the link."""

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    practitioner_id: int = Field(foreign_key="practitioner.id", index=True)
    telegram_id: int | None = Field(default=None, sa_column=_chat(index=True))
    state: PatientState = Field(
        default=PatientState.INVITED, sa_column=Column(stored(PatientState), nullable=False)
    )
    is_test: bool = False
    language: str = "en"
    timezone: str | None = None
    quiet_start: time = time(21, 0)
    quiet_end: time = time(8, 30)
    photo_requests: bool = True
    booking_requests: bool = True
    opened_at: datetime | None = Field(default=None, sa_column=_instant())
    consented_at: datetime | None = Field(default=None, sa_column=_instant())
    confirmed_at: datetime | None = Field(default=None, sa_column=_instant())
    joined_at: datetime | None = Field(default=None, sa_column=_instant())
    resumed_at: datetime | None = Field(default=None, sa_column=_instant())
    last_heard_at: datetime | None = Field(default=None, sa_column=_instant())
    paused_until: datetime | None = Field(default=None, sa_column=_instant())
    created_at: datetime = Field(sa_column=_instant(nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=_sealed())

    __table_args__ = (
        # One account is one patient of a clinic; a lead's test patients share the lead's account.
        Index(
            "patient_one_account",
            "clinic_id",
            "telegram_id",
            unique=True,
            sqlite_where=text("NOT is_test AND telegram_id IS NOT NULL"),
            postgresql_where=text("NOT is_test AND telegram_id IS NOT NULL"),
        ),
    )


class Consent(SQLModel, table=True):
    """A patient's own yes: to which text, in which language, when; and when it was taken back."""

    id: int | None = Field(default=None, primary_key=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    purpose: str
    text_version: str
    language: str
    given_at: datetime = Field(sa_column=_instant(nullable=False))
    withdrawn_at: datetime | None = Field(default=None, sa_column=_instant())


class Invitation(SQLModel, table=True):
    """A single-use link; only the hash of its code is kept."""

    id: int | None = Field(default=None, primary_key=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    code_hash: str = Field(unique=True)
    patient_id: int | None = Field(default=None, foreign_key="patient.id", index=True)
    role: str | None = None
    invited_by: int | None = Field(default=None, foreign_key="practitioner.id")
    created_at: datetime = Field(sa_column=_instant(nullable=False))
    expires_at: datetime = Field(sa_column=_instant(nullable=False))
    used_at: datetime | None = Field(default=None, sa_column=_instant())


class ProtocolVersion(SQLModel, table=True):
    """One version of a protocol as a clinic approved it; a course keeps the one it started with."""

    __tablename__ = "protocol_version"
    __table_args__ = (UniqueConstraint("clinic_id", "name", "version", "content_hash"),)

    id: int | None = Field(default=None, primary_key=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    name: str
    version: int
    content_hash: str
    content: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    approved_by: int | None = Field(default=None, foreign_key="practitioner.id")
    approved_at: datetime | None = Field(default=None, sa_column=_instant())
    review_by: date | None = None
    is_demo: bool = False


class Course(SQLModel, table=True):
    """One patient on one protocol."""

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    protocol_version_id: int = Field(foreign_key="protocol_version.id")
    # Which of the protocol's variants, where it has any and one was chosen.
    variant: str | None = None
    # After how many days upkeep is offered, where the protocol lets the practitioner say so.
    upkeep_days: int | None = None
    state: CourseState = Field(
        default=CourseState.ACTIVE, sa_column=Column(stored(CourseState), nullable=False)
    )
    created_at: datetime = Field(sa_column=_instant(nullable=False))


class Visit(SQLModel, table=True):
    """One session of a course; ``done_at`` is the anchor T0, ``done_date`` the anchor D.

    ``sealed`` holds area and product.
    """

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    course_id: int = Field(foreign_key="course.id", index=True)
    state: VisitState = Field(
        default=VisitState.PLANNED, sa_column=Column(stored(VisitState), nullable=False)
    )
    planned_at: datetime | None = Field(default=None, sa_column=_instant())
    done_at: datetime | None = Field(default=None, sa_column=_instant())
    done_date: date | None = None
    target_date: date | None = None
    confirmed_at: datetime | None = Field(default=None, sa_column=_instant())
    recorded_at: datetime | None = Field(default=None, sa_column=_instant())
    # Set when a wrong session time was put right: the next card says that it replaces the first.
    corrected: bool = False
    # Grows when the visit moves to another date: delivered steps then come again, as a new round.
    round: int = 1
    created_at: datetime = Field(sa_column=_instant(nullable=False))
    # Where, and with what.
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class Message(SQLModel, table=True):
    """The outbox: whatever the bot says; ``sealed`` holds values, buttons, link and sent text."""

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    patient_id: int | None = Field(default=None, foreign_key="patient.id", index=True)
    practitioner_id: int | None = Field(default=None, foreign_key="practitioner.id", index=True)
    visit_id: int | None = Field(default=None, foreign_key="visit.id")
    chat_id: int = Field(sa_column=_chat(index=True))
    lane: Lane = Field(sa_column=Column(stored(Lane), nullable=False))
    method: str = "text"
    template: str
    template_version: str | None = None
    language: str = "en"
    # The Telegram message that an edit replaces, or that a copy relays from ``source_chat_id``.
    target_message_id: int | None = None
    source_chat_id: int | None = Field(default=None, sa_column=_chat())
    follows_id: int | None = Field(default=None, foreign_key="message.id")
    # What a patient sent or reported: every row that brings it to the team shares this reference.
    report: str | None = None
    silent: bool = False
    # Counted by the caps and kept out of quiet hours: nobody asked for it.
    unasked: bool = False
    queued_at: datetime = Field(sa_column=_instant(nullable=False))
    due_at: datetime = Field(sa_column=_instant(nullable=False))
    expires_at: datetime | None = Field(default=None, sa_column=_instant())
    state: MessageState = Field(
        default=MessageState.QUEUED, sa_column=Column(stored(MessageState), nullable=False)
    )
    reason: Reason | None = Field(default=None, sa_column=Column(stored(Reason), nullable=True))
    attempts: int = 0
    maybe_copies: int = 0
    worker: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=_instant())
    telegram_message_id: int | None = None
    sent_at: datetime | None = Field(default=None, sa_column=_instant())
    sealed: bytes | None = Field(default=None, sa_column=_sealed())

    __table_args__ = (
        Index(
            "message_open",
            "due_at",
            sqlite_where=text("state IN ('queued', 'sending')"),
            postgresql_where=text("state IN ('queued', 'sending')"),
        ),
        Index(
            "message_danger_ended",
            "queued_at",
            sqlite_where=text("lane = 'danger' AND state IN ('unconfirmed', 'failed')"),
            postgresql_where=text("lane = 'danger' AND state IN ('unconfirmed', 'failed')"),
        ),
    )


class Reminder(SQLModel, table=True):
    """One dated step of one visit; ends in exactly one state, with a reason."""

    __table_args__ = (
        UniqueConstraint("visit_id", "step", "round"),
        Index(
            "reminder_one_unfinished",
            "visit_id",
            "step",
            unique=True,
            sqlite_where=text("state = 'planned'"),
            postgresql_where=text("state = 'planned'"),
        ),
        Index(
            "reminder_due",
            "due_at",
            sqlite_where=text("state = 'planned'"),
            postgresql_where=text("state = 'planned'"),
        ),
        Index(
            "reminder_unlisted",
            "final_at",
            sqlite_where=text("state IN ('expired', 'undelivered') AND listed_at IS NULL"),
            postgresql_where=text("state IN ('expired', 'undelivered') AND listed_at IS NULL"),
        ),
        Index(
            "reminder_expired",
            "final_at",
            sqlite_where=text("state = 'expired'"),
            postgresql_where=text("state = 'expired'"),
        ),
        _where("reminder_look_at", "look_at", "look_at IS NOT NULL"),
    )

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id")
    patient_id: int = Field(foreign_key="patient.id", index=True)
    visit_id: int = Field(foreign_key="visit.id", index=True)
    session_id: int = Field(foreign_key="visit.id")
    step: str
    round: int = 1
    state: ReminderState = Field(
        default=ReminderState.PLANNED, sa_column=Column(stored(ReminderState), nullable=False)
    )
    reason: Reason | None = Field(default=None, sa_column=Column(stored(Reason), nullable=True))
    # Why it would not go if nothing changed; judged again when it is due.
    outlook: Reason | None = Field(default=None, sa_column=Column(stored(Reason), nullable=True))
    due_at: datetime | None = Field(default=None, sa_column=_instant())
    expires_at: datetime | None = Field(default=None, sa_column=_instant())
    group_key: str | None = None
    safety: bool = False
    asked: bool = False
    # It fell due after the backup that this database was restored from: it may have been sent then.
    maybe_sent: bool = Field(default=False, sa_column=_no())
    message_id: int | None = Field(default=None, foreign_key="message.id", index=True)
    created_at: datetime = Field(sa_column=_instant(nullable=False))
    final_at: datetime | None = Field(default=None, sa_column=_instant())
    # When the practitioner was handed it in a list of what was not sent.
    listed_at: datetime | None = Field(default=None, sa_column=_instant())
    # Of a safety check: when an answer is waited for no longer, when it was asked once more,
    # when it became an item of the list of those who gave no answer, and when somebody ticked it.
    look_at: datetime | None = Field(default=None, sa_column=_instant())
    nudged_at: datetime | None = Field(default=None, sa_column=_instant())
    unanswered_at: datetime | None = Field(default=None, sa_column=_instant())
    unanswered_done_at: datetime | None = Field(default=None, sa_column=_instant())


class Answer(SQLModel, table=True):
    """What a patient tapped on a step; the newest of a step counts, all are kept."""

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    reminder_id: int = Field(foreign_key="reminder.id", index=True)
    update_id: int = Field(sa_column=Column(BigInteger, nullable=False, unique=True))
    given_at: datetime = Field(sa_column=_instant(nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class Report(SQLModel, table=True):
    """What a patient says is wrong, from the first tap on; ``sealed`` holds the answers."""

    __table_args__ = (_where("report_due", "due_at", "due_at IS NOT NULL"),)

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    # The session that it is about, and the day after it; nothing before any session.
    visit_id: int | None = Field(default=None, foreign_key="visit.id")
    reminder_id: int | None = Field(default=None, foreign_key="reminder.id")
    day: int | None = None
    opened_at: datetime = Field(sa_column=_instant(nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=_instant())
    # When one that stopped half-way counts at the level that it has reached.
    due_at: datetime | None = Field(default=None, sa_column=_instant())
    # What was acted on so far.
    level: Level | None = Field(default=None, sa_column=Column(stored(Level), nullable=True))
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class Alert(SQLModel, table=True):
    """Something that a person of the clinic must look at; ``sealed`` holds what was reported."""

    __table_args__ = (_where("alert_due", "due_at", "due_at IS NOT NULL"),)

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    report_id: int | None = Field(default=None, foreign_key="report.id", index=True)
    level: Level = Field(sa_column=Column(stored(Level), nullable=False))
    state: AlertState = Field(
        default=AlertState.OPEN, sa_column=Column(stored(AlertState), nullable=False)
    )
    opened_at: datetime = Field(sa_column=_instant(nullable=False))
    # The moment that its consequences count from, the next of them, and when that is due.
    counts_from: datetime | None = Field(default=None, sa_column=_instant())
    next_step: int = Field(default=0, sa_column=_number(0))
    due_at: datetime | None = Field(default=None, sa_column=_instant())
    acked_by: int | None = Field(default=None, foreign_key="practitioner.id")
    acked_at: datetime | None = Field(default=None, sa_column=_instant())
    closed_by: int | None = Field(default=None, foreign_key="practitioner.id")
    closed_at: datetime | None = Field(default=None, sa_column=_instant())
    outcome: str | None = None
    # Nobody took it in all that time: a mark, the alert stays open.
    unreached_at: datetime | None = Field(default=None, sa_column=_instant())
    # Routine messages rest from its opening until then; nothing while somebody has to say so.
    resumed_at: datetime | None = Field(default=None, sa_column=_instant())
    is_drill: bool = Field(default=False, sa_column=_no())
    rounds: int = 1
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class AlertLog(SQLModel, table=True):
    """Who was told of an alert, who took it and how it ended, each with its time."""

    __tablename__ = "alert_log"

    id: int | None = Field(default=None, primary_key=True)
    alert_id: int = Field(foreign_key="alert.id", index=True)
    at: datetime = Field(sa_column=_instant(nullable=False))
    act: str
    practitioner_id: int | None = Field(default=None, foreign_key="practitioner.id")


class Question(SQLModel, table=True):
    """What a patient asked, and who answered; ``sealed`` holds both texts.

    What is asked before somebody answered belongs to the same question.
    """

    __table_args__ = (
        _where("question_due", "reply_by", "answered_at IS NULL AND overdue_at IS NULL"),
    )

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    kind: str
    asked_at: datetime = Field(sa_column=_instant(nullable=False))
    # The promise that the patient read; past it both sides are told once.
    reply_by: datetime = Field(sa_column=_instant(nullable=False))
    overdue_at: datetime | None = Field(default=None, sa_column=_instant())
    # Who has begun to write an answer, so that colleagues see it.
    writing_by: int | None = Field(default=None, foreign_key="practitioner.id")
    writing_at: datetime | None = Field(default=None, sa_column=_instant())
    answered_at: datetime | None = Field(default=None, sa_column=_instant())
    answered_by: int | None = Field(default=None, foreign_key="practitioner.id")
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class Photo(SQLModel, table=True):
    """A picture of a patient; its file is named by ``ref``, ``sealed`` says how it is fetched."""

    __table_args__ = (
        _where("photo_to_fetch", "received_at", "state = 'waiting'"),
        _where("photo_to_delete", "stored_at", "state = 'stored'"),
    )

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    visit_id: int | None = Field(default=None, foreign_key="visit.id", index=True)
    day: int | None = None
    angle: str | None = None
    album: str | None = None
    state: PhotoState = Field(
        default=PhotoState.WAITING, sa_column=Column(stored(PhotoState), nullable=False)
    )
    received_at: datetime = Field(sa_column=_instant(nullable=False))
    stored_at: datetime | None = Field(default=None, sa_column=_instant())
    attempts: int = 0
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class LimitEnd(SQLModel, table=True):
    """The end of one of a patient's limits: by the plan, kept on beyond it, told."""

    __tablename__ = "limit_end"
    __table_args__ = (
        UniqueConstraint("patient_id", "name"),
        _where("limit_end_look_at", "look_at", "look_at IS NOT NULL"),
    )

    id: int | None = Field(default=None, primary_key=True)
    clinic_id: int = Field(foreign_key="clinic.id")
    patient_id: int = Field(foreign_key="patient.id")
    name: str
    # The strictest end of all active courses.
    ends_at: datetime = Field(sa_column=_instant(nullable=False))
    # Since when it stays on because the patient says that the skin is not calm, under which
    # message that was said, and when the patient was asked once more.
    kept_at: datetime | None = Field(default=None, sa_column=_instant())
    message_id: int | None = Field(default=None, foreign_key="message.id")
    asked_at: datetime | None = Field(default=None, sa_column=_instant())
    # Who of the team ended what was kept.
    ended_by: int | None = Field(default=None, foreign_key="practitioner.id")
    # When the patient was told that it is over: by its step, an answer or a notice.
    told_at: datetime | None = Field(default=None, sa_column=_instant())
    # When it is looked at again; nothing when nothing is to come.
    look_at: datetime | None = Field(default=None, sa_column=_instant())


class Action(SQLModel, table=True):
    """What a practitioner did, so that it can be undone for ten minutes and looked up later."""

    id: int | None = Field(default=None, primary_key=True)
    ref: str = Field(unique=True)
    clinic_id: int = Field(foreign_key="clinic.id", index=True)
    practitioner_id: int = Field(foreign_key="practitioner.id", index=True)
    patient_id: int = Field(foreign_key="patient.id", index=True)
    visit_id: int | None = Field(default=None, foreign_key="visit.id")
    kind: str
    before: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    done_at: datetime = Field(sa_column=_instant(nullable=False))
    undone_at: datetime | None = Field(default=None, sa_column=_instant())


class Dialogue(SQLModel, table=True):
    """What a chat was last asked to type; one row a chat."""

    chat_id: int = Field(sa_column=_chat(primary_key=True))
    awaiting: str
    updated_at: datetime = Field(sa_column=_instant(nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class Update(SQLModel, table=True):
    """The inbox: one update of Telegram, committed raw (sealed) before it is acknowledged."""

    __tablename__ = "inbox"

    update_id: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False)
    )
    chat_id: int | None = Field(default=None, sa_column=_chat(index=True))
    state: UpdateState = Field(
        default=UpdateState.RECEIVED,
        sa_column=Column(stored(UpdateState), nullable=False, index=True),
    )
    attempts: int = 0
    received_at: datetime = Field(sa_column=_instant(nullable=False))
    handled_at: datetime | None = Field(default=None, sa_column=_instant())
    sealed: bytes | None = Field(default=None, sa_column=_sealed())


class Vital(SQLModel, table=True):
    """What the process says of itself: last tick, last good poll, held or not."""

    key: str = Field(primary_key=True)
    value: str
