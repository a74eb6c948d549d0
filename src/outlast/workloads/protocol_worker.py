"""A worker whose clients are no libpq: the same two loops as ``sql_worker.py`` in asyncio, over any ``ProtocolClient``.

What is recorded, when, and as what is as there: an op due that no client could take in time is recorded as not sent, a
time-out leaves an op unknown and ends its connection, and in a closed loop each vain attempt to connect is a failed op.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from outlast.clock import now_ns, seconds_until
from outlast.errors import ConfigError
from outlast.history.op import Outcome
from outlast.history.recorder import Recorder
from outlast.units import NS_PER_S
from outlast.workloads import WORKLOADS
from outlast.workloads.base import Invocation, Options
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_client import ProtocolClient, Reply
from outlast.workloads.protocol_registry import client_for

STOP_POLL_S: Final = 0.05
_TICK_S: Final = 0.01


class ProtocolWorker:
    """Drives the clients of one config. Raises ConfigError or HistoryError when it cannot start."""

    def __init__(self, config: WorkerConfig) -> None:
        if config.workload not in WORKLOADS:
            raise ConfigError(f"no such workload: {config.workload}", key="workload")
        self._config = config
        self._clients: list[ProtocolClient] = [client_for(config, number) for number in range(config.clients)]
        self._recorder = Recorder(
            Path(config.ops_folder) / config.name,
            clients=config.processes,
            first_process=config.first_process,
        )
        self._calls = [self._stream(index) for index in range(config.processes)]
        self._turns: deque[asyncio.Future[None]] = deque()
        self._busy = 0
        self._ready = 0
        self._last_error = "no client is connected"
        self._stopped = False
        self._rng = random.Random(f"{config.seed}/pauses")

    def stop(self) -> None:
        """Send no more ops; ``run`` returns once those open have ended, or drain_s later."""
        self._stopped = True

    def run(self) -> None:
        """Run to the end of the config's time. Whatever was sent is on record whenever this process dies."""
        try:
            asyncio.run(self._main())
        finally:
            self._recorder.close()

    def _stream(self, index: int) -> Iterator[Invocation]:
        config = self._config
        process = config.first_process + index
        options = Options(config.reads_only, config.params, config.epoch_ns)
        return WORKLOADS[config.workload].generator(
            process, random.Random(f"{config.seed}/{process}"), options
        )

    async def _main(self) -> None:
        config = self._config
        tasks = [asyncio.create_task(self._client(number)) for number in range(config.clients)]
        if config.rate_per_s is not None:
            await self._dispatch(config.rate_per_s)
        while not self._over():  # noqa: ASYNC110 - a signal's handler sets it
            await asyncio.sleep(STOP_POLL_S)
        self._stopped = True
        for turn in self._turns:
            turn.cancel()
        deadline = now_ns() + int(config.drain_s * NS_PER_S)
        while self._busy and now_ns() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self) -> bool:
        return self._stopped or bool(self._config.stop_ns and now_ns() >= self._config.stop_ns)

    # Each client.

    async def _client(self, number: int) -> None:
        config, client = self._config, self._clients[number]
        pause_s = config.retry_min_s
        while not self._stopped:
            try:
                async with asyncio.timeout(config.connect_timeout_s):
                    await client.connect()
            except (OSError, TimeoutError) as error:
                client.close()
                self._last_error = str(error) or f"no connection within {config.connect_timeout_s:g} s"
                if config.rate_per_s is None:
                    self._record_not_sent(number, now_ns())
                await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, config.retry_max_s)
                continue
            self._ready += 1
            try:
                while await self._my_turn():
                    reply = await self._op(number, client)
                    if reply.outcome is Outcome.OK:
                        pause_s = config.retry_min_s
                    if not reply.keep:
                        break
                    if reply.outcome is not Outcome.OK and config.rate_per_s is None:
                        await asyncio.sleep(pause_s)
            finally:
                self._ready -= 1
                client.close()
            await asyncio.sleep(config.retry_min_s * self._rng.uniform(0.5, 1.0))

    async def _my_turn(self) -> bool:
        """Wait until an op is due for this client; False once the load is over."""
        if self._config.rate_per_s is None:
            await asyncio.sleep(seconds_until(self._config.start_ns))
        if self._over() or self._config.rate_per_s is None:
            return not self._over()
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._turns:
                self._turns.remove(turn)
            if not self._over():
                raise
        return not self._over()

    async def _op(self, number: int, client: ProtocolClient) -> Reply:
        self._busy += 1
        try:
            call = next(self._calls[number])
            self._invoke(number, call, now_ns())
            reply = Reply(Outcome.INFO, error="still open when the load had ended", keep=False)
            try:
                async with asyncio.timeout(self._config.query_timeout_s):
                    reply = await client.call(call)
            except TimeoutError:
                words = f"no answer within {self._config.query_timeout_s:g} s"
                reply = Reply(Outcome.INFO, error=words, keep=False)
            except (OSError, EOFError) as error:
                words = str(error) or type(error).__name__
                reply = Reply(Outcome.INFO, error=words, keep=False)
            finally:
                self._complete(number, reply)
        finally:
            self._busy -= 1
        return reply

    # Ops at a rate.

    async def _dispatch(self, rate_per_s: float) -> None:
        """Give each op, when it is due, to the client that has waited longest."""
        config = self._config
        late_max_ns = int(config.late_max_s * NS_PER_S)
        while not self._ready and not self._over():  # noqa: ASYNC110
            await asyncio.sleep(_TICK_S)
        start_ns = max(config.start_ns, now_ns())
        count = 0
        while not self._over():
            due_ns = start_ns + int(count * NS_PER_S / rate_per_s)
            if due_ns > now_ns():
                await asyncio.sleep(min(STOP_POLL_S, seconds_until(due_ns)))
                continue
            if self._turns:
                self._turns.popleft().set_result(None)
            elif now_ns() - due_ns > late_max_ns:
                if self._busy:
                    self._last_error = "every client is busy"
                self._record_not_sent(config.clients, due_ns)
            else:
                await asyncio.sleep(0.001)
                continue
            count += 1

    # Recording.

    def _invoke(self, index: int, call: Invocation, at_ns: int) -> None:
        f = self._recorder.function(call.txn.f if call.txn is not None else self._config.workload)
        self._recorder.invoke(index, f, call.value, at_ns, call.key)
        if call.txn is not None and call.txn.payload is not None:
            self._recorder.attach(index, call.txn.payload)

    def _complete(self, index: int, reply: Reply) -> None:
        if isinstance(reply.told, str):
            self._recorder.attach(index, reply.told)
        elif reply.told is not None:
            self._recorder.answer(index, reply.told)
        tag = self._recorder.tag(reply.outcome, reply.node, 0, reply.error)
        self._recorder.complete(index, tag, reply.lsn, now_ns())

    def _record_not_sent(self, index: int, at_ns: int) -> None:
        self._invoke(index, next(self._calls[index]), at_ns)
        tag = self._recorder.tag(Outcome.FAIL, error=f"not sent: {self._last_error}")
        self._recorder.complete(index, tag, 0, at_ns + 1)
