"""The watched loop: reports, timers of alerts, questions, photos, unanswered checks, limits."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def _flag(name: str, default: sa.sql.expression.ColumnElement[bool]) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=default)


def _added() -> dict[str, list[sa.Column[Any]]]:
    return {
        "clinic": [
            _flag("photos_on", sa.true()),
            sa.Column("photo_days", sa.Integer(), nullable=False, server_default="180"),
            sa.Column("live_at", _INSTANT, nullable=True),
            sa.Column("digest_day", sa.Date(), nullable=True),
        ],
        "practitioner": [_flag("is_on_call", sa.false()), _flag("is_backup", sa.false())],
        "reminder": [
            sa.Column("look_at", _INSTANT, nullable=True),
            sa.Column("nudged_at", _INSTANT, nullable=True),
            sa.Column("unanswered_at", _INSTANT, nullable=True),
            sa.Column("unanswered_done_at", _INSTANT, nullable=True),
        ],
        "course": [
            sa.Column("variant", sa.String(), nullable=True),
            sa.Column("upkeep_days", sa.Integer(), nullable=True),
        ],
        "visit": [sa.Column("sealed", sa.LargeBinary(), nullable=True)],
        "alert": [
            sa.Column("counts_from", _INSTANT, nullable=True),
            sa.Column("next_step", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("due_at", _INSTANT, nullable=True),
            sa.Column("closed_at", _INSTANT, nullable=True),
            sa.Column("outcome", sa.String(), nullable=True),
            sa.Column("unreached_at", _INSTANT, nullable=True),
            sa.Column("resumed_at", _INSTANT, nullable=True),
            _flag("is_drill", sa.false()),
            sa.Column("sealed", sa.LargeBinary(), nullable=True),
        ],
    }


# References: SQLite adds them with their column only.
_REFERENCES = {"report_id": "report", "closed_by": "practitioner"}
_PARTIAL = {
    "reminder_look_at": ("reminder", "look_at", "look_at IS NOT NULL"),
    "report_due": ("report", "due_at", "due_at IS NOT NULL"),
    "alert_due": ("alert", "due_at", "due_at IS NOT NULL"),
    "question_due": ("question", "reply_by", "answered_at IS NULL AND overdue_at IS NULL"),
    "limit_end_look_at": ("limit_end", "look_at", "look_at IS NOT NULL"),
    "photo_to_fetch": ("photo", "received_at", "state = 'waiting'"),
    "photo_to_delete": ("photo", "stored_at", "state = 'stored'"),
}


def upgrade() -> None:
    """Add all of it; a clinic that has worked so far is live, its chain proves itself daily."""
    _create()
    for table, columns in _added().items():
        for column in columns:
            op.add_column(table, column)
    for reference, table in _REFERENCES.items():
        op.execute(f"ALTER TABLE alert ADD COLUMN {reference} INTEGER REFERENCES {table} (id)")
    op.create_index("ix_alert_report_id", "alert", ["report_id"])
    for name, (table, of, condition) in _PARTIAL.items():
        where = sa.text(condition)
        op.create_index(name, table, [of], sqlite_where=where, postgresql_where=where)
    op.execute("UPDATE clinic SET live_at = created_at")
    op.execute("UPDATE alert SET counts_from = opened_at, resumed_at = opened_at")


def _create() -> None:
    op.create_table(
        "report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=True),
        sa.Column("reminder_id", sa.Integer(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=True),
        sa.Column("opened_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("due_at", _INSTANT, nullable=True),
        sa.Column("level", sa.String(24), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"]),
        sa.ForeignKeyConstraint(["reminder_id"], ["reminder.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_report_clinic_id", "report", ["clinic_id"])
    op.create_index("ix_report_patient_id", "report", ["patient_id"])
    op.create_table(
        "alert_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("practitioner_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"]),
        sa.ForeignKeyConstraint(["practitioner_id"], ["practitioner.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_alert_log_alert_id", "alert_log", ["alert_id"])
    op.create_table(
        "question",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("asked_at", _INSTANT, nullable=False),
        sa.Column("reply_by", _INSTANT, nullable=False),
        sa.Column("overdue_at", _INSTANT, nullable=True),
        sa.Column("writing_by", sa.Integer(), nullable=True),
        sa.Column("writing_at", _INSTANT, nullable=True),
        sa.Column("answered_at", _INSTANT, nullable=True),
        sa.Column("answered_by", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["writing_by"], ["practitioner.id"]),
        sa.ForeignKeyConstraint(["answered_by"], ["practitioner.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_question_clinic_id", "question", ["clinic_id"])
    op.create_index("ix_question_patient_id", "question", ["patient_id"])
    op.create_table(
        "photo",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=True),
        sa.Column("angle", sa.String(), nullable=True),
        sa.Column("album", sa.String(), nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("stored_at", _INSTANT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    for column in ("clinic_id", "patient_id", "visit_id"):
        op.create_index(f"ix_photo_{column}", "photo", [column])
    op.create_table(
        "limit_end",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("ends_at", _INSTANT, nullable=False),
        sa.Column("kept_at", _INSTANT, nullable=True),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("asked_at", _INSTANT, nullable=True),
        sa.Column("ended_by", sa.Integer(), nullable=True),
        sa.Column("told_at", _INSTANT, nullable=True),
        sa.Column("look_at", _INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"]),
        sa.ForeignKeyConstraint(["ended_by"], ["practitioner.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("patient_id", "name"),
    )


def downgrade() -> None:
    """Take all of it away."""
    for name, (table, _, _) in reversed(_PARTIAL.items()):
        op.drop_index(name, table)
    op.drop_index("ix_alert_report_id", "alert")
    for column in _REFERENCES:
        op.execute(f"ALTER TABLE alert DROP COLUMN {column}")
    for table, columns in _added().items():
        for each in columns:
            op.drop_column(table, each.name)
    for table in ("limit_end", "photo", "question", "alert_log", "report"):
        op.drop_table(table)
