"""The photo files: one encrypted file a photo in the data folder, named by its row's reference."""

import os
from contextlib import suppress
from pathlib import Path

from bot.storage.vault import Vault, VaultError

FOLDER = "photos"
"""Where they lie in the data folder."""
_TABLE = "photo-file"
_ENDING = ".photo"
_UNFINISHED = ".part"


class PhotoFiles:
    """The folder of the photos; what lies there opens only with the key and under its own name."""

    def __init__(self, folder: Path, vault: Vault | None) -> None:
        """Use ``folder``, which is made with the first photo; without a key only to copy from."""
        self._folder = folder
        self._vault = vault

    def put(self, ref: str, picture: bytes) -> None:
        """Have the picture on the disk, whole or not at all, readable to this account alone."""
        self.put_sealed(ref, self._key.seal_bytes(picture, table=_TABLE, ref=ref))

    def put_sealed(self, ref: str, held: bytes) -> None:
        """The same with a picture as a file holds it: encrypted, for this very reference."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(ref)
        part = path.with_suffix(_UNFINISHED)
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(held)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            # What did not fit must not take what is left of the disk.
            part.unlink(missing_ok=True)
            raise
        self._sync()

    def read(self, ref: str) -> bytes | None:
        """Return the picture, or nothing when its file is gone; raises ``VaultError``."""
        held = self.read_sealed(ref)
        return None if held is None else self._key.open_bytes(held, table=_TABLE, ref=ref)

    def read_sealed(self, ref: str) -> bytes | None:
        """Return the picture as its file holds it, or nothing when that is gone."""
        try:
            return self._path(ref).read_bytes()
        except FileNotFoundError:
            return None

    def size(self, ref: str) -> int:
        """Return about how many bytes the picture has; 0 when its file is gone."""
        try:
            return self._path(ref).stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self, ref: str) -> None:
        """Have no file of that photo."""
        self._path(ref).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            self._sync()

    def kept(self) -> set[str]:
        """Return the references of all photos that have a file; none before the first photo.

        Raises ``OSError`` when the folder cannot be read: then nothing can be said of any photo.
        """
        return {path.stem for path in self._files(_ENDING)}

    def clear_unfinished(self) -> None:
        """Remove what a kill left half written; nothing may be being written meanwhile."""
        for path in self._files(_UNFINISHED):
            path.unlink(missing_ok=True)

    def _files(self, ending: str) -> list[Path]:
        # Not by glob: it passes over a folder that it may not read, as if that were empty.
        try:
            with os.scandir(self._folder) as found:
                return [Path(each.path) for each in found if each.name.endswith(ending)]
        except FileNotFoundError:
            return []

    @property
    def _key(self) -> Vault:
        if self._vault is None:
            raise VaultError("photos are opened with the key only")
        return self._vault

    def _path(self, ref: str) -> Path:
        return self._folder / f"{ref}{_ENDING}"

    def _sync(self) -> None:
        # The name is on the disk only when its folder is.
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
