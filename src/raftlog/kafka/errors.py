"""Kafka's error codes, by name. Source: kafka.apache.org/protocol, "Error Codes"."""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, int]] = {
    "UNKNOWN_SERVER_ERROR": -1,
    "": 0,
    "OFFSET_OUT_OF_RANGE": 1,
    "CORRUPT_MESSAGE": 2,
    "UNKNOWN_TOPIC_OR_PARTITION": 3,
    "LEADER_NOT_AVAILABLE": 5,
    "NOT_LEADER_OR_FOLLOWER": 6,
    "REQUEST_TIMED_OUT": 7,
    "MESSAGE_TOO_LARGE": 10,
    "INVALID_TOPIC_EXCEPTION": 17,
    "NOT_ENOUGH_REPLICAS": 19,
    "INVALID_REQUIRED_ACKS": 21,
    "UNSUPPORTED_VERSION": 35,
    "TOPIC_ALREADY_EXISTS": 36,
    "INVALID_PARTITIONS": 37,
    "NOT_CONTROLLER": 41,
    "INVALID_REQUEST": 42,
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": 43,
    "POLICY_VIOLATION": 44,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": 45,
    "INVALID_PRODUCER_EPOCH": 47,
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": 53,
    "THROTTLING_QUOTA_EXCEEDED": 89,
}


def code(name: str) -> int:
    """Return an error's code; a name that Kafka does not have is an unknown server error."""
    return CODES.get(name, -1)
