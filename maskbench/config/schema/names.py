"""Names that become folder names: of experiments, panels, arms and random streams.

Only listed characters are allowed, so that no file can name `../x`, a device, or two arms that differ only in
case.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import AfterValidator

MAX_NAME_LENGTH = 32
"""Maximum number of characters of a name."""

_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Windows reserves these names for devices, in any folder and with any suffix.
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
_DIGEST = 8


def check_name(name: str) -> str:
    """Return `name` if it is a valid folder name on every system.

    Raises:
        ValueError: it is not; the message gives the rule.
    """
    if not _PATTERN.fullmatch(name):
        rule = f"lower-case letters, digits and hyphens, a letter or digit first, at most {MAX_NAME_LENGTH}"
        raise ValueError(f"must be a plain name ({rule})")
    if name in _DEVICES:
        raise ValueError("is the name of a device on Windows; choose another")
    return name


Name = Annotated[str, AfterValidator(check_name)]
"""A string that `check_name` accepts."""


def slugify(text: str) -> str:
    """Return `text` as a name: `window(radius=1)` becomes `window-radius-1`.

    Other characters become hyphens, so different texts may get the same name; the caller refuses that. A text
    that is too long is cut and ends in a digest of the whole, so long texts with the same start get different
    names.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(name) <= MAX_NAME_LENGTH:
        return name
    digest = hashlib.blake2b(text.encode(), digest_size=_DIGEST // 2).hexdigest()
    return f"{name[: MAX_NAME_LENGTH - _DIGEST - 1].rstrip('-')}-{digest}"
