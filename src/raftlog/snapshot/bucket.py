"""Snapshots in a bucket: every piece of a partition once, under its checksum, and a small file a snapshot.

    PREFIX/pieces/TOPIC/PARTITION/BASE-LENGTH-CRC     packed messages, never changed once written
    PREFIX/snapshots/INDEX-TERM.snap                  written last: a snapshot that is there is whole

A bucket that is down, slow or talks rubbish costs a warning and a metric, never the node: uploads run in
their own thread, one at a time, and the next snapshot tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from raftlog.config import ObjectStoreSettings
from raftlog.errors import CorruptError, RaftlogError
from raftlog.snapshot.files import Snapshot, decode, encode, pack, unpack
from raftlog.store.partition import Piece

log = logging.getLogger("raftlog")


class Bucket:
    """A bucket of S3 or of anything that speaks its protocol. All calls block; run them in a thread.

    codec: none, gzip or zstd.
    """

    def __init__(self, settings: ObjectStoreSettings, codec: str) -> None:
        import boto3  # here: it takes half a second that a node without a bucket need not spend
        from botocore.config import Config as ClientConfig

        self._bucket, self._codec = settings.s3_bucket, codec
        self._prefix = settings.s3_prefix.strip("/") + "/" if settings.s3_prefix.strip("/") else ""
        options = ClientConfig(
            connect_timeout=settings.timeout_s,
            read_timeout=settings.timeout_s,
            retries={"max_attempts": 2, "mode": "standard"},
        )
        self._client = boto3.client(
            "s3",
            region_name=settings.s3_region,
            endpoint_url=settings.s3_endpoint_url or None,
            config=options,
        )

    def upload(self, snapshot: Snapshot, topics: Path, keep: int) -> int:
        """Copy a snapshot and whatever of its pieces is not there yet; return the bytes sent.

        keep: snapshots kept; older ones go, with the pieces that only they name. Raises RaftlogError.
        """
        with _client_errors():
            there = set(self._list("pieces/"))
            sent = 0
            for topic, number, piece in pieces_of(snapshot):
                name = _piece_name(topic, number, piece)
                if name not in there and piece.length:
                    data = pack(_read_piece(topics, topic, number, piece), self._codec)
                    self._put(name, data)
                    sent += len(data)
            point = snapshot.point
            data = encode(snapshot, self._codec)
            self._put(f"snapshots/{point.index:016d}-{point.term:08d}.snap", data)
            self._prune(keep)
            return sent + len(data)

    def _prune(self, keep: int) -> None:
        names = sorted(self._list("snapshots/"))
        for name in names[:-keep]:
            self._delete(name)
        needed = {
            _piece_name(*piece)
            for name in names[-keep:]
            for piece in pieces_of(decode(self._get(name), name))
        }
        for name in self._list("pieces/"):
            if name not in needed:
                self._delete(name)

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot there, None when there is none. Raises RaftlogError."""
        with _client_errors():
            names = sorted(self._list("snapshots/"))
            return decode(self._get(names[-1]), names[-1]) if names else None

    def download(self, snapshot: Snapshot, topics: Path) -> None:
        """Bring a snapshot's messages into an empty folder, each piece verified. Raises RaftlogError."""
        with _client_errors():
            for topic, number, piece in pieces_of(snapshot):
                name = _piece_name(topic, number, piece)
                data = unpack(self._get(name), self._codec) if piece.length else b""
                if len(data) != piece.length or crc32(data) != piece.crc:
                    raise CorruptError(f"{name} in the bucket does not match the snapshot")
                folder = topics / topic / str(number)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{piece.base:020d}.log").write_bytes(data)

    def _list(self, folder: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + folder
        )
        return [entry["Key"][len(self._prefix) :] for page in pages for entry in page.get("Contents", ())]

    def _get(self, name: str) -> bytes:
        body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        data: bytes = body.read()
        return data

    def _put(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def _delete(self, name: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)


@contextmanager
def _client_errors() -> Iterator[None]:
    """Turn whatever a bucket's client raises into a RaftlogError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, OSError, KeyError, ValueError) as error:
        raise RaftlogError(f"the bucket is unavailable: {error}") from error


def pieces_of(snapshot: Snapshot) -> list[tuple[str, int, Piece]]:
    """Return topic, partition and piece of every file that a snapshot names."""
    return [
        (topic, number, Piece(*raw))
        for topic, partitions in snapshot.state["topics"].items()
        for number, stored in enumerate(partitions)
        for raw in stored["pieces"]
    ]


def _piece_name(topic: str, number: int, piece: Piece) -> str:
    return f"pieces/{topic}/{number}/{piece.base:020d}-{piece.length}-{piece.crc:08x}"


def _read_piece(topics: Path, topic: str, number: int, piece: Piece) -> bytes:
    with (topics / topic / str(number) / f"{piece.base:020d}.log").open("rb") as file:
        data = file.read(piece.length)
    if crc32(data) != piece.crc:
        raise CorruptError(f"{topic}/{number}/{piece.base} does not match the snapshot")
    return data


class Uploader:
    """Uploads the newest snapshot in a thread; one that is offered during an upload replaces those that wait.

    topics: the folder of the partitions' files. keep: snapshots kept in the bucket.
    """

    def __init__(self, bucket: Bucket, topics: Path, keep: int) -> None:
        self.uploaded = self.failed = self.sent_bytes = 0
        self.last_error = ""
        self._bucket, self._topics, self._keep = bucket, topics, keep
        self._next: Snapshot | None = None
        self._task: asyncio.Task[None] | None = None

    def offer(self, snapshot: Snapshot) -> None:
        """Upload a snapshot, soon."""
        self._next = snapshot
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while (snapshot := self._next) is not None:
            self._next = None
            try:
                upload = asyncio.to_thread(self._bucket.upload, snapshot, self._topics, self._keep)
                self.sent_bytes += await upload
                self.uploaded += 1
                self.last_error = ""
            except RaftlogError as error:
                self.failed += 1
                self.last_error = error.message
                log.warning("snapshot at %d was not uploaded: %s", snapshot.point.index, error)
