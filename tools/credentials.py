"""Makes a user with a password and an API key, for nginx: `python -m tools.credentials FILE` for the demo's."""

from __future__ import annotations

import secrets
import string
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from ansible.utils.encrypt import do_encrypt

_ALPHABET = string.ascii_letters + string.digits

PASSWORD_LENGTH = 24
KEY_BYTES = 32

# crypt(5): the salt of SHA-512 has at most 16 characters. nginx computes the hash for every request: 5000 rounds, the
# scheme's default, take it about 2 ms, and 24 random characters need no more.
_SALT_LENGTH = 16
_ROUNDS = 5000


@dataclass(frozen=True)
class Credentials:
    """What a client sends, and for the password what the server keeps: ``password_hash``, in the format of crypt(5)."""

    user: str
    password: str
    password_hash: str
    api_key: str


def make_credentials(user: str) -> Credentials:
    """Return new ones; the hash is made once and stored, so that a second deployment changes nothing."""
    password = _characters(PASSWORD_LENGTH)
    password_hash = do_encrypt(password, "sha512_crypt", salt=_characters(_SALT_LENGTH), rounds=_ROUNDS)
    return Credentials(user, password, str(password_hash), secrets.token_hex(KEY_BYTES))


def _characters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def main(path: Path) -> None:
    """Write them to ``path``, for its owner alone, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(asdict(make_credentials("demo"))), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
