"""Protocol versions: which a clinic approved, which it used, and their parsed content."""

from collections.abc import Sequence

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import protocol_files
from bot.domain.protocol import Protocol
from bot.storage.tables import Course, ProtocolVersion


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
        known[version_id] = protocol_files.parse(row.name, row.content, f"protocols/{row.name}")
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
