"""The first schema: two rows (inbox, outbox) and what stands around them; the stable views."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# An instant as the views show it: UTC, milliseconds, "Z".
_INSTANT = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', {})",
    "postgresql": """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
}
_NOW = {"sqlite": "datetime('now')", "postgresql": "now()"}
_A_DAY_AGO = {
    "sqlite": "datetime('now', '-1 day')",
    "postgresql": "now() - interval '1 day'",
}


def _views(dialect: str) -> dict[str, str]:
    """Return the stable views (README, "For other programs") in the database's own words."""

    def at(column: str) -> str:
        return _INSTANT[dialect].format(column) + " AS " + column.rsplit(".", 1)[-1]

    now, a_day_ago = _NOW[dialect], _A_DAY_AGO[dialect]
    return {
        "v_reminder": f"""
            SELECT r.ref AS reminder_id, p.ref AS patient_ref, v.ref AS visit_ref, r.step,
                   {at("r.due_at")}, {at("r.expires_at")}, r.state, r.reason,
                   m.ref AS message_id
            FROM reminder r
            JOIN patient p ON p.id = r.patient_id
            JOIN visit v ON v.id = r.visit_id
            LEFT JOIN message m ON m.id = r.message_id""",
        "v_message": f"""
            SELECT m.ref AS message_id, p.ref AS patient_ref, m.lane, m.template,
                   {at("m.queued_at")}, m.state, m.attempts, m.maybe_copies,
                   m.telegram_message_id, {at("m.sent_at")}
            FROM message m
            LEFT JOIN patient p ON p.id = m.patient_id""",
        "v_update": f"SELECT update_id, {at('received_at')}, state FROM inbox",
        "v_alert": f"""
            SELECT a.ref AS alert_id, p.ref AS patient_ref, a.level, a.state,
                   {at("a.opened_at")}, w.ref AS acked_by, {at("a.acked_at")}, a.rounds
            FROM alert a
            JOIN patient p ON p.id = a.patient_id
            LEFT JOIN practitioner w ON w.id = a.acked_by""",
        "v_consent": f"""
            SELECT p.ref AS patient_ref, c.purpose, c.text_version, c.language,
                   {at("c.given_at")}, {at("c.withdrawn_at")}
            FROM consent c
            JOIN patient p ON p.id = c.patient_id""",
        "v_health": f"""
            SELECT 'schema_version' AS key, version_num AS value FROM alembic_version
            UNION ALL
            SELECT k.key, COALESCE(vital.value, k.fallback)
            FROM (SELECT 'last_tick_at' AS key, NULL AS fallback
                  UNION ALL SELECT 'last_poll_ok_at', NULL
                  UNION ALL SELECT 'held', '0'
                  UNION ALL SELECT 'held_reason', NULL) k
            LEFT JOIN vital ON vital.key = k.key
            UNION ALL
            SELECT 'due_now', CAST(count(*) AS TEXT) FROM message
            WHERE state = 'queued' AND due_at <= {now}
            UNION ALL
            SELECT 'unconfirmed', CAST(count(*) AS TEXT) FROM message WHERE state = 'unconfirmed'
            UNION ALL
            SELECT 'expired_24h', CAST(count(*) AS TEXT) FROM reminder
            WHERE state = 'expired' AND final_at >= {a_day_ago}
            UNION ALL
            SELECT 'alerts_open', CAST(count(*) AS TEXT) FROM alert WHERE state = 'open'""",
    }


def upgrade() -> None:
    """Create every table and view."""
    op.create_table(
        "clinic",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sender_name", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("emergency_number", sa.String(), nullable=False),
        sa.Column("urgent_number", sa.String(), nullable=False),
        sa.Column("urgent_place", sa.String(), nullable=False),
        sa.Column("opening_hours", sa.String(), nullable=False),
        sa.Column("bot_username", sa.String(), nullable=False),
        sa.Column("confirm_joining", sa.Boolean(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_table(
        "dialogue",
        sa.Column("chat_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("awaiting", sa.String(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("chat_id"),
    )
    op.create_table(
        "inbox",
        sa.Column("update_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chat_id", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("update_id"),
    )
    op.create_index("ix_inbox_chat_id", "inbox", ["chat_id"], unique=False)
    op.create_index("ix_inbox_state", "inbox", ["state"], unique=False)
    op.create_table(
        "vital",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "practitioner",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("telegram_id", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unreachable_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
        sa.UniqueConstraint("telegram_id"),
    )
    op.create_index("ix_practitioner_clinic_id", "practitioner", ["clinic_id"], unique=False)
    op.create_table(
        "patient",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("practitioner_id", sa.Integer(), nullable=False),
        sa.Column("telegram_id", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=True),
        sa.Column("quiet_start", sa.Time(), nullable=False),
        sa.Column("quiet_end", sa.Time(), nullable=False),
        sa.Column("photo_requests", sa.Boolean(), nullable=False),
        sa.Column("booking_requests", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["practitioner_id"], ["practitioner.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_patient_clinic_id", "patient", ["clinic_id"], unique=False)
    op.create_index("ix_patient_practitioner_id", "patient", ["practitioner_id"], unique=False)
    op.create_index("ix_patient_telegram_id", "patient", ["telegram_id"], unique=False)
    op.create_index(
        "patient_one_account",
        "patient",
        ["clinic_id", "telegram_id"],
        unique=True,
        sqlite_where=sa.text("NOT is_test AND telegram_id IS NOT NULL"),
        postgresql_where=sa.text("NOT is_test AND telegram_id IS NOT NULL"),
    )
    op.create_table(
        "protocol_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("approved_by", sa.Integer(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("review_by", sa.Date(), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["approved_by"], ["practitioner.id"]),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("clinic_id", "name", "version", "content_hash"),
    )
    op.create_index(
        "ix_protocol_version_clinic_id", "protocol_version", ["clinic_id"], unique=False
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("level", sa.String(24), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acked_by", sa.Integer(), nullable=True),
        sa.Column("acked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["acked_by"], ["practitioner.id"]),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_alert_clinic_id", "alert", ["clinic_id"], unique=False)
    op.create_index("ix_alert_patient_id", "alert", ["patient_id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("text_version", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_consent_patient_id", "consent", ["patient_id"], unique=False)
    op.create_table(
        "course",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("protocol_version_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["protocol_version_id"], ["protocol_version.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_course_clinic_id", "course", ["clinic_id"], unique=False)
    op.create_index("ix_course_patient_id", "course", ["patient_id"], unique=False)
    op.create_table(
        "invitation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=True),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("invited_by", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["invited_by"], ["practitioner.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code_hash"),
    )
    op.create_index("ix_invitation_clinic_id", "invitation", ["clinic_id"], unique=False)
    op.create_index("ix_invitation_patient_id", "invitation", ["patient_id"], unique=False)
    op.create_table(
        "visit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_date", sa.Date(), nullable=True),
        sa.Column("target_date", sa.Date(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("corrected", sa.Boolean(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_visit_clinic_id", "visit", ["clinic_id"], unique=False)
    op.create_index("ix_visit_course_id", "visit", ["course_id"], unique=False)
    op.create_index("ix_visit_patient_id", "visit", ["patient_id"], unique=False)
    op.create_table(
        "action",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("practitioner_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["practitioner_id"], ["practitioner.id"]),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_action_clinic_id", "action", ["clinic_id"], unique=False)
    op.create_index("ix_action_patient_id", "action", ["patient_id"], unique=False)
    op.create_index("ix_action_practitioner_id", "action", ["practitioner_id"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=True),
        sa.Column("practitioner_id", sa.Integer(), nullable=True),
        sa.Column("visit_id", sa.Integer(), nullable=True),
        sa.Column("chat_id", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("lane", sa.String(24), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("template_version", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("target_message_id", sa.Integer(), nullable=True),
        sa.Column("source_chat_id", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("follows_id", sa.Integer(), nullable=True),
        sa.Column("report", sa.String(), nullable=True),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("unasked", sa.Boolean(), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("maybe_copies", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("telegram_message_id", sa.Integer(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["follows_id"], ["message.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["practitioner_id"], ["practitioner.id"]),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
    )
    op.create_index("ix_message_chat_id", "message", ["chat_id"], unique=False)
    op.create_index("ix_message_clinic_id", "message", ["clinic_id"], unique=False)
    op.create_index("ix_message_patient_id", "message", ["patient_id"], unique=False)
    op.create_index("ix_message_practitioner_id", "message", ["practitioner_id"], unique=False)
    op.create_index(
        "message_open",
        "message",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.create_table(
        "reminder",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("clinic_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(24), nullable=True),
        sa.Column("outlook", sa.String(24), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("group_key", sa.String(), nullable=True),
        sa.Column("safety", sa.Boolean(), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("final_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"]),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"]),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["session_id"], ["visit.id"]),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
        sa.UniqueConstraint("visit_id", "step", "round"),
    )
    op.create_index("ix_reminder_message_id", "reminder", ["message_id"], unique=False)
    op.create_index("ix_reminder_patient_id", "reminder", ["patient_id"], unique=False)
    op.create_index("ix_reminder_visit_id", "reminder", ["visit_id"], unique=False)
    op.create_index(
        "reminder_due",
        "reminder",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'planned'"),
        postgresql_where=sa.text("state = 'planned'"),
    )
    op.create_index(
        "reminder_one_unfinished",
        "reminder",
        ["visit_id", "step"],
        unique=True,
        sqlite_where=sa.text("state = 'planned'"),
        postgresql_where=sa.text("state = 'planned'"),
    )
    op.create_table(
        "answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("reminder_id", sa.Integer(), nullable=False),
        sa.Column("update_id", sa.BigInteger(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"]),
        sa.ForeignKeyConstraint(["reminder_id"], ["reminder.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
        sa.UniqueConstraint("update_id"),
    )
    op.create_index("ix_answer_patient_id", "answer", ["patient_id"], unique=False)
    op.create_index("ix_answer_reminder_id", "answer", ["reminder_id"], unique=False)
    views = _views(op.get_bind().dialect.name)
    for name, query in views.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    """Drop every view and table."""
    for name in reversed(_views(op.get_bind().dialect.name)):
        op.execute(f"DROP VIEW {name}")
    op.drop_table("answer")
    op.drop_table("reminder")
    op.drop_table("message")
    op.drop_table("action")
    op.drop_table("visit")
    op.drop_table("invitation")
    op.drop_table("course")
    op.drop_table("consent")
    op.drop_table("alert")
    op.drop_table("protocol_version")
    op.drop_table("patient")
    op.drop_table("practitioner")
    op.drop_table("vital")
    op.drop_table("inbox")
    op.drop_table("dialogue")
    op.drop_table("clinic")
