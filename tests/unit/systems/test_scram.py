"""A verifier made here is what a server would have made, and does not hold the password."""

from __future__ import annotations

import base64
import hmac

from outlast.systems.postgres.scram import verifier

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
MESSAGE = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={NONCE}"
SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
"""The exchange of RFC 7677, section 3, for the password pencil."""


def test_it_gives_the_signature_of_the_standards_example() -> None:
    kind, iterations, keys = verifier("pencil", SALT).split("$")
    stored, server = map(base64.b64decode, keys.split(":"))
    assert (kind, iterations) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    assert base64.b64encode(hmac.digest(server, MESSAGE.encode(), "sha256")).decode() == SIGNATURE
    assert len(stored) == 32


def test_every_verifier_has_a_salt_of_its_own_and_no_password_in_it() -> None:
    assert verifier("pencil") != verifier("pencil")
    assert "pencil" not in verifier("pencil")
    assert verifier("Bleistift-ß") == "Bleistift-ß"  # only the server knows how to normalise it
