"""Reading and writing what the session's vault seals: a row's column, the mark of the key."""

from collections.abc import Mapping
from typing import Any, Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.storage.tables import Vital
from bot.storage.vault import Vault

KEY_MARK = "key_mark"


class SealedRow(Protocol):
    """A table row with one encrypted column."""

    sealed: bytes | None


def _vault(session: AsyncSession) -> Vault:
    vault: Vault = session.info["vault"]
    return vault


def _identity(row: SealedRow) -> tuple[str, str]:
    """Name the row that a sealed value is bound to; the key must be known before the insert."""
    for key in ("ref", "update_id", "chat_id"):
        value = getattr(row, key, None)
        if value is not None:
            return str(getattr(type(row), "__tablename__", "")), str(value)
    raise TypeError(f"{type(row).__name__} has no key to bind a sealed value to")


def read(session: AsyncSession, row: SealedRow) -> dict[str, Any]:
    """Return what the row's sealed column holds; empty when nothing was sealed."""
    table, ref = _identity(row)
    return _vault(session).open(row.sealed, table=table, ref=ref)


def write(session: AsyncSession, row: SealedRow, values: Mapping[str, Any]) -> None:
    """Seal ``values`` into the row; nothing readable of them reaches the database."""
    table, ref = _identity(row)
    row.sealed = _vault(session).seal(values, table=table, ref=ref) if values else None


async def put_key_mark(session: AsyncSession) -> None:
    """Leave a mark by which a later start knows whether it holds this database's key."""
    mark = _vault(session).seal({"key": "fits"}, table="vital", ref=KEY_MARK)
    session.add(Vital(key=KEY_MARK, value=mark.hex()))


async def check_key(session: AsyncSession) -> None:
    """Raise ``VaultError`` when no key in the key file belongs to this database."""
    mark = await session.get(Vital, KEY_MARK)
    check_mark(_vault(session), mark.value if mark else None)


def check_mark(vault: Vault, mark: str | None) -> None:
    """Raise ``VaultError`` when no key of the vault belongs to the database with that mark."""
    vault.open(bytes.fromhex(mark) if mark else None, table="vital", ref=KEY_MARK)
