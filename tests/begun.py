"""The files that ``init`` makes before there is a clinic, so that a story need not migrate again.

Migrations are tried by tests of their own, and by every story on PostgreSQL.
"""

from pathlib import Path

from bot.settings import Settings
from bot.storage import schema, vault

_FILES: dict[str, bytes] = {}


async def begin(folder: Path, database_url: str = "") -> None:
    """Put a key and an empty SQLite database of the newest schema into a data folder.

    The first folder of this process gets its own; each later one a copy, with the same key. A story
    with a database of its own has nothing put there.
    """
    if database_url:
        return
    if _FILES:
        _copy(folder)
        return
    options = Settings.model_construct(data_dir=folder)
    vault.create_key_file(options.keys)
    await schema.migrate(options.database)
    _keep(folder)


def _copy(folder: Path) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    for name, content in _FILES.items():
        file = folder / name
        file.touch(0o600)
        file.write_bytes(content)


def _keep(folder: Path) -> None:
    _FILES.update({file.name: file.read_bytes() for file in folder.glob("aftercare.*")})
