import asyncio
import threading
import time

import pytest

from lookcast.web.refusals import Refusal
from lookcast.web.workers import Workers


class Client:
    """A request whose client may have left."""

    def __init__(self, left=False):
        self.left = left

    async def is_disconnected(self):
        return self.left


class Meter:
    """Counts how many calls run at once."""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __call__(self, value, seconds=0.02):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(seconds)
        with self.lock:
            self.now -= 1
        return value


class TestWorkers:
    def test_no_more_run_at_once_than_threads(self):
        async def run():
            workers, meter, long = Workers(2, 100), Meter(), Meter()
            calls = [workers.run(Client(), meter, number) for number in range(20)]
            calls += [workers.run_long(Client(), long, number) for number in range(20, 40)]
            found = await asyncio.gather(*calls)
            workers.close()
            return found, meter.most, long.most

        found, most, most_long = asyncio.run(run())
        assert found == list(range(40))
        assert most <= 3
        assert most_long <= 2

    def test_the_event_loop_goes_on(self):
        async def run():
            workers = Workers(1, 100)
            calls = [asyncio.create_task(workers.run_long(Client(), time.sleep, 0.3)) for _ in range(2)]
            ticks = 0
            while not all(call.done() for call in calls):
                await asyncio.sleep(0.01)
                ticks += 1
            workers.close()
            return ticks

        assert asyncio.run(run()) > 10

    def test_a_short_call_does_not_wait_for_long_ones(self):
        async def run():
            workers, event = Workers(2, 100), threading.Event()
            long = [asyncio.create_task(workers.run_long(Client(), event.wait, 30)) for _ in range(5)]
            await asyncio.sleep(0.05)
            short = await asyncio.wait_for(workers.run(Client(), lambda: 7), 20)
            event.set()
            await asyncio.gather(*long)
            workers.close()
            return short

        assert asyncio.run(run()) == 7

    def test_too_many_waiting(self):
        async def run():
            workers, event = Workers(1, 3), threading.Event()
            held = [asyncio.create_task(workers.run(Client(), event.wait, 30)) for _ in range(2 + 3)]
            await asyncio.sleep(0.05)
            with pytest.raises(Refusal) as caught:
                await workers.run(Client(), time.sleep, 0)
            batch = asyncio.create_task(workers.run(None, lambda: 7))  # photos of batches may always wait
            await asyncio.sleep(0.05)
            event.set()
            await asyncio.gather(*held)
            found = await batch
            workers.close()
            return caught.value, found

        refusal, found = asyncio.run(run())
        assert (refusal.status_code, refusal.detail) == (429, "the server is busy; try again in a moment")
        assert found == 7

    def test_nothing_is_computed_for_a_client_who_has_left(self):
        calls = []

        async def run():
            workers = Workers(1, 3)
            with pytest.raises(Refusal) as caught:
                await workers.run(Client(left=True), calls.append, 1)
            workers.close()
            return caught.value.status_code

        assert asyncio.run(run()) == 499
        assert calls == []
