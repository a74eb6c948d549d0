"""Judgement: pure functions from a history to findings. Nothing here touches a running system."""
