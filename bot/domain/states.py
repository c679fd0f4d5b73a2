"""Every state a thing can be in, and every reason a reminder or message can end with."""

from enum import StrEnum


class PatientState(StrEnum):
    """Where a patient stands; ``active`` alone receives reminders."""

    INVITED = "invited"
    OPENED = "opened"
    ACTIVE = "active"
    STOPPED = "stopped"
    UNREACHABLE = "unreachable"
    DECLINED = "declined"
    ERASED = "erased"


class VisitState(StrEnum):
    """One session of a course."""

    PLANNED = "planned"
    DONE = "done"
    CANCELLED = "cancelled"
    MISSED = "missed"


class CourseState(StrEnum):
    """One patient on one protocol."""

    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"


class ReminderState(StrEnum):
    """One dated step; everything but ``planned`` is final."""

    PLANNED = "planned"
    SENT = "sent"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNDELIVERED = "undelivered"


class MessageState(StrEnum):
    """One row of the outbox."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"
    DROPPED = "dropped"


class AlertState(StrEnum):
    """A level that a person must acknowledge."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class PhotoState(StrEnum):
    """A picture that a patient sent."""

    WAITING = "waiting"
    STORED = "stored"
    REFUSED = "refused"
    DELETED = "deleted"


class UpdateState(StrEnum):
    """One row of the inbox."""

    RECEIVED = "received"
    HANDLED = "handled"
    QUARANTINED = "quarantined"


class Lane(StrEnum):
    """The order in which the outbox is served, most urgent first."""

    DANGER = "danger"
    REPLY = "reply"
    CARE = "care"
    COURTESY = "courtesy"


class Level(StrEnum):
    """What an answer amounts to; the highest of several counts."""

    EXPECTED = "expected"
    TELL_CLINIC = "tell_clinic"
    URGENT = "urgent"
    EMERGENCY = "emergency"


class Cause(StrEnum):
    """What goes wrong with the bot itself, so that a lead is told."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    CONFLICT = "conflict"
    DISK = "disk"
    DATABASE = "database"
    PHOTOS = "photos"
    GAP = "gap"
    CLOCK = "clock"
    FUSE = "fuse"
    EXPIRED = "expired"
    UNCONFIRMED = "unconfirmed"


class Reason(StrEnum):
    """Why a reminder or a message ended without being delivered."""

    # A condition of the step does not hold.
    BOOKED = "booked"
    CONFIRMED = "confirmed"
    GAP_SHORT = "gap_short"
    NEXT_VISIT_NEAR = "next_visit_near"
    NOT_LATEST = "not_latest"
    DECLINED = "declined"
    # The rules of sending.
    CAP = "cap"
    QUIET_HOURS = "quiet_hours"
    TOO_LATE = "too_late"
    PAUSED = "paused"
    # Joining after the session.
    JOINED_LATE = "joined_late"
    # Another message says, or asks, the same.
    FOLDED = "folded"
    # A date that the step needs is not known.
    NO_NEXT_VISIT = "no_next_visit"
    NO_SESSION = "no_session"
    NO_TARGET_DATE = "no_target_date"
    # Somebody changed the plan.
    CORRECTED = "corrected"
    COURSE_STOPPED = "course_stopped"
    NEW_SESSION = "new_session"
    REPLACED = "replaced"
    VISIT_CANCELLED = "visit_cancelled"
    VISIT_DONE = "visit_done"
    VISIT_MOVED = "visit_moved"
    # The patient's own word, or state.
    ERASED = "erased"
    NOT_ACTIVE = "not_active"
    STOPPED = "stopped"
    # Telegram will never take it.
    BLOCKED = "blocked"
    CHAT_NOT_FOUND = "chat_not_found"
    DEACTIVATED = "deactivated"
    REFUSED = "refused"
    TEMPLATE_FAULT = "template_fault"
    # Nobody knows whether it arrived, and it may not be repeated.
    UNCONFIRMED = "unconfirmed"
