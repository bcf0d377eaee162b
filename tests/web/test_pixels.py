import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lookcast.photos.photo import Photo
from lookcast.web.pixels import Opened, PixelCache


def entry(size, shared=True):
    pixels = np.zeros((size, 1, 3), np.uint8)
    return Opened(Photo(pixels), pixels if shared else pixels.copy())


class TestPixelCache:
    def test_makes_an_entry_once(self):
        cache, made = PixelCache(1000), []

        def make():
            made.append(1)
            time.sleep(0.02)
            return entry(10)

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: cache.get(("a", "full"), make), range(8)))
        assert made == [1]
        assert all(one is found[0] for one in found)

    def test_counts_each_array_once(self):
        cache = PixelCache(1000)
        cache.put(("a", "full"), entry(10))
        assert cache.bytes == 30
        cache.put(("b", "full"), entry(10, shared=False))
        assert cache.bytes == 90
        cache.put(("b", "full"), entry(20))
        assert cache.bytes == 90

    def test_the_least_recently_used_goes(self):
        cache = PixelCache(100)
        for name in "abc":
            cache.put((name, "full"), entry(10))
        cache.get(("a", "full"), entry)
        cache.put(("d", "full"), entry(10))
        assert [key[0] for key in cache._entries] == ["c", "a", "d"]
        assert cache.bytes == 90

    def test_a_larger_entry_than_the_limit_is_not_kept(self):
        cache = PixelCache(100)
        assert len(cache.get(("a", "full"), lambda: entry(50)).srgb) == 50
        assert cache.bytes == 0

    def test_drop(self):
        cache = PixelCache(1000)
        for key in (("a", "full"), ("a", "preview"), ("b", "full")):
            cache.put(key, entry(10))
        cache.drop("a")
        assert list(cache._entries) == [("b", "full")]
        assert cache.bytes == 30

    def test_stays_within_its_limit_under_load(self):
        cache, most, lock = PixelCache(300), [0], threading.Lock()

        def use(number):
            cache.get((str(number % 17), "full"), lambda: entry(10 + number % 5))
            with lock:
                most[0] = max(most[0], cache.bytes)
            if number % 7 == 0:
                cache.drop(str(number % 17))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(2000)))
        assert most[0] <= 300
        assert cache.bytes == sum(size for _, size in cache._entries.values())
        assert len(cache._making) <= 17
