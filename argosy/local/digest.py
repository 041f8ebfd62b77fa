"""SHA-256 by Python's own code, as its `random` has it: `hashlib` brings OpenSSL, four megabytes a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import sha256 as sha256
else:
    try:
        from _sha2 import sha256 as sha256
    except ImportError:
        try:  # before Python 3.12
            from _sha256 import sha256 as sha256
        except ImportError:
            from hashlib import sha256 as sha256
