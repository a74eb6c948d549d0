"""Suite ``takeover``: everything is stopped and started again, every three minutes for as long as one likes.

Source: requirement A16. The modes setup, validate, test, failover and all are ``outlast up``,
``validate``, ``drill``, ``failover`` and ``soak``.
"""

from __future__ import annotations

from typing import Final

TITLE: Final = "Stop everything, wait three seconds, start everything; all is back, nothing is lost"
