"""What an account of every step needs: copies in doubt after a restore, and what was listed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns; what ended before has been shown on the screens and is not listed anew."""
    op.add_column(
        "reminder",
        sa.Column("maybe_sent", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("reminder", sa.Column("listed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE reminder SET listed_at = final_at WHERE final_at IS NOT NULL")
    op.create_index(
        "reminder_unlisted",
        "reminder",
        ["final_at"],
        sqlite_where=sa.text("state IN ('expired', 'undelivered') AND listed_at IS NULL"),
        postgresql_where=sa.text("state IN ('expired', 'undelivered') AND listed_at IS NULL"),
    )
    # What is counted every half minute, for as long as there is a bot.
    op.create_index(
        "reminder_expired",
        "reminder",
        ["final_at"],
        sqlite_where=sa.text("state = 'expired'"),
        postgresql_where=sa.text("state = 'expired'"),
    )
    op.create_index(
        "message_danger_ended",
        "message",
        ["queued_at"],
        sqlite_where=sa.text("lane = 'danger' AND state IN ('unconfirmed', 'failed')"),
        postgresql_where=sa.text("lane = 'danger' AND state IN ('unconfirmed', 'failed')"),
    )


def downgrade() -> None:
    """Take both columns away."""
    op.drop_index("message_danger_ended", "message")
    op.drop_index("reminder_expired", "reminder")
    op.drop_index("reminder_unlisted", "reminder")
    op.drop_column("reminder", "listed_at")
    op.drop_column("reminder", "maybe_sent")
