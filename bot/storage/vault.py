"""What must not be readable in the database: sealed with AES-GCM, bound to its table and row."""

import base64
import binascii
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


class VaultError(RuntimeError):
    """The key file is missing, unreadable to us or readable to others, or does not fit the data."""


class Vault:
    """Seals and opens the one encrypted column of a row; the first key seals, every key opens."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take 32-byte keys, newest first."""
        if not keys:
            raise VaultError("the key file holds no key")
        self._ciphers = tuple(AESGCM(key) for key in keys)

    def seal(self, values: Mapping[str, Any], *, table: str, ref: str) -> bytes:
        """Return ``values`` encrypted, readable again only under the same table and reference."""
        plain = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
        return self.seal_bytes(plain, table=table, ref=ref)

    def seal_bytes(self, plain: bytes, *, table: str, ref: str) -> bytes:
        """The same of bytes, such as a picture."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plain, f"{table}:{ref}".encode())

    def open(self, sealed: bytes | None, *, table: str, ref: str) -> dict[str, Any]:
        """Return what was sealed, empty for an empty column; raises ``VaultError``."""
        if not sealed:
            return {}
        opened: dict[str, Any] = json.loads(self.open_bytes(sealed, table=table, ref=ref))
        return opened

    def open_bytes(self, sealed: bytes, *, table: str, ref: str) -> bytes:
        """Return the bytes that were sealed; raises ``VaultError``."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, body, f"{table}:{ref}".encode())
            except InvalidTag:
                continue
        raise VaultError(
            "the key file does not open this database; put back the one that init made for it"
        )


def create_key_file(path: Path) -> None:
    """Write a new key to ``path`` with mode 0600; an existing file is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())


def open_key_file(path: Path) -> Vault:
    """Return the vault of the keys in ``path``, one a line, newest first; raises ``VaultError``."""
    try:
        mode = path.stat().st_mode
        lines = path.read_bytes().split()
    except OSError as error:
        raise VaultError(f"the key file {path} cannot be read ({error.strerror})") from error
    if mode & 0o077:
        raise VaultError(f"the key file {path} is open to other accounts; run: chmod 600 {path}")
    try:
        keys = [base64.urlsafe_b64decode(line) for line in lines]
    except binascii.Error:
        keys = []
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise VaultError(f"the key file {path} holds a line that is no key")
    return Vault(keys)
