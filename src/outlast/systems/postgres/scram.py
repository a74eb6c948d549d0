"""What a server keeps of a password, made here: so that the password itself is in no statement, which servers log, keep
among their statistics and print beside errors. Source: RFC 5802, section 3; PostgreSQL manual, "pg_authid".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

ITERATIONS: Final = 4096
SALT_BYTES: Final = 16


def verifier(password: str, salt: bytes | None = None) -> str:
    """Return what takes the place of a password in ``PASSWORD '…'``; the server keeps it as it is.

    A password that is not ASCII is returned as it is: the server alone normalises it as its clients do.
    Takes a few milliseconds.
    """
    if not password.isascii():
        return password
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
