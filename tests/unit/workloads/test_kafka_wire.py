"""The load's Kafka protocol, held against an implementation of others."""

from __future__ import annotations

import struct

import pytest
from aiokafka.record import default_records
from aiokafka.record import memory_records as records

from outlast.workloads import kafka_wire as wire
from outlast.workloads.protocol_client import addresses_of


def test_crc32c_of_the_check_string() -> None:
    assert wire.crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720, B.4's polynomial


@pytest.mark.parametrize("value", [b"", b"1", b"12345".ljust(64), b"x" * 5000])
def test_another_client_reads_the_batch_that_was_written(value: bytes) -> None:
    batch = records.MemoryRecords(wire.record_batch(value, 1_700_000_000_000)).next_batch()
    assert batch.validate_crc()
    (record,) = list(batch)
    assert (record.offset, record.key, record.value, record.timestamp) == (0, None, value, 1_700_000_000_000)


def test_batches_of_another_client_are_read_and_a_cut_one_is_passed_over() -> None:
    builder = default_records.DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 16,
    )
    for number in range(300):
        key = b"k" if number % 2 else None
        builder.append(number, timestamp=number, key=key, value=str(number).encode(), headers=[])
    data = bytes(builder.build())
    batch = struct.pack(">q", 7_000) + data[8:]
    found = list(wire.records(batch + batch[:100]))
    assert found == [(7_000 + number, str(number).encode()) for number in range(300)]
    assert wire.batches_end(batch + batch[:100], 0) == 7_300


def test_a_compressed_batch_is_refused_not_misread() -> None:
    batch = bytearray(wire.record_batch(b"1", 0))
    batch[22] |= 1
    with pytest.raises(ValueError, match="compressed"):
        list(wire.records(bytes(batch)))


def test_a_response_that_ends_early_is_an_error_of_its_own() -> None:
    with pytest.raises(ValueError, match="ends in the middle"):
        wire.read_metadata(b"\0\0\0\1\0\0")


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:0", "host:70000", "a:1,,b:2", "a:b"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        addresses_of(text)


def test_addresses_are_read_in_order_with_ipv6_in_brackets() -> None:
    assert addresses_of("a:1, [::1]:2") == [("a", 1), ("::1", 2)]
