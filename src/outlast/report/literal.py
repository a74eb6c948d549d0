"""Text from outside (names, messages of servers and programs), made safe to show on a terminal."""

from __future__ import annotations

import unicodedata

from rich.text import Text

_KEPT = "\n\t"


def literal_text(text: str, style: str = "") -> Text:
    """Return text to be printed literally: no markup has an effect, and control characters are shown, not sent."""
    shown = "".join(
        char
        if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf")
        else char.encode("unicode_escape").decode()
        for char in text
    )
    return Text(shown, style=style)
