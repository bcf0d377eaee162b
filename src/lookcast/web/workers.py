"""A bounded pool of threads for computations. The event loop waits for them without blocking."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import ParamSpec, TypeVar

from fastapi import Request

from lookcast.processes import usable_cores
from lookcast.web.refusals import Refusal

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Workers:
    """Threads that decode, compute and encode.

    Waiting computations stand in a queue, in the order of their requests. One thread more than the number of long
    computations (refinement, colour tables and batches) exists, so that a preview need not wait until one of them ends.

    Args:
        count: number of long computations at a time; None uses one for each core, at most four.
        waiting: number of computations that may wait.
    """

    def __init__(self, count: int | None, waiting: int) -> None:
        self.count = min(usable_cores(), 4) if count is None else count
        self._waiting, self._limit = 0, waiting
        self._free = asyncio.Semaphore(self.count + 1)
        self._free_for_long = asyncio.Semaphore(self.count)
        # torch keeps its number of threads, so that the network sums in the same order as on the command line.
        self._pool = ThreadPoolExecutor(self.count + 1, "lookcast")

    async def run(self, request: Request | None, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a function in a thread.

        Args:
            request: the request that needs the result. If its client leaves while it waits, nothing is computed.
                None for the photos of batches, which may always wait.
            function: the function.
            *args: its arguments.
            **kwargs: its arguments.

        Raises:
            Refusal: too many computations wait already, or the client has left.
        """
        return await self._run(request, [self._free], lambda: function(*args, **kwargs))

    async def run_long(
        self, request: Request | None, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """Run a function that takes seconds; see `run`."""
        return await self._run(request, [self._free_for_long, self._free], lambda: function(*args, **kwargs))

    async def _run(
        self, request: Request | None, permits: Sequence[asyncio.Semaphore], function: Callable[[], _R]
    ) -> _R:
        if request is not None and self._waiting >= self._limit:
            raise Refusal(429, "the server is busy; try again in a moment", {"Retry-After": "2"})
        async with AsyncExitStack() as held:
            self._waiting += 1
            try:
                for permit in permits:
                    await held.enter_async_context(permit)
            finally:
                self._waiting -= 1
            if request is not None and await request.is_disconnected():
                raise Refusal(499, "the client has left")
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Wait for the running computations, and end the threads."""
        self._pool.shutdown(cancel_futures=True)
