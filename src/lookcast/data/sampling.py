"""The order of training samples: every random draw is a function of the run's seed and a position.

A *position* is the number of a sample in a run, counted from 0 over all processes. No draw depends on an earlier draw.
A run that is resumed at any step, with any number of processes, therefore sees the same samples as an uninterrupted
run.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import count

_ROUNDS = 8


def seed_of(*key: int | str) -> int:
    """Hash a key to a 64-bit seed, which is the same on every machine.

    Example:
        >>> seed_of(0, "photo", 7) == seed_of(0, "photo", 7) != seed_of(0, "photo", 8)
        True
    """
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big")


def shuffled(position: int, number: int, seed: int) -> int:
    """Return the number of the photo at a position; every epoch contains each photo once, in a new order.

    The permutation is computed, not stored. A Feistel network permutes the integers below the next power of four. The
    network is applied until the result is below `number`, which takes fewer than four applications on average. For any
    number of photos, an epoch therefore starts at once and needs no memory. A call takes 30 to 130 microseconds.

    Args:
        position: position of the sample in the run; an epoch has `number` positions.
        number: number of photos.
        seed: seed of the run.

    Example:
        >>> sorted(shuffled(position, 5, seed=0) for position in range(5))
        [0, 1, 2, 3, 4]

    Reference:
        Black and Rogaway, "Ciphers with arbitrary finite domains", 2002.
    """
    epoch, place = divmod(position, number)
    if number == 1:
        return 0
    bits = max(2, ((number - 1).bit_length() + 1) // 2)
    mask, key = (1 << bits) - 1, _epoch_key(seed, epoch)
    while True:
        left, right = place >> bits, place & mask
        for step in range(_ROUNDS):
            digest = blake2b(right.to_bytes(8, "big"), key=key, salt=bytes([step]), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        place = left << bits | right
        if place < number:
            return place


@lru_cache(maxsize=16)
def _epoch_key(seed: int, epoch: int) -> bytes:
    return seed_of(seed, "order", epoch).to_bytes(8, "big")


class PositionBatches:
    """Endless batch sampler of one process.

    Batch b of rank r, with b counted from 0, holds n consecutive positions from `begin() + (b * W + r) * n` on. W
    processes with batches of n samples therefore see the same positions as one process with batches of W * n samples.

    Args:
        begin: function that returns the position of the run's next sample; called at the start of every iteration.
        batch_size: number n of samples in a batch of one process.
        rank: rank r of this process.
        num_processes: number W of processes.
    """

    def __init__(self, begin: Callable[[], int], batch_size: int, rank: int = 0, num_processes: int = 1) -> None:
        self.begin, self.batch_size, self.rank, self.num_processes = begin, batch_size, rank, num_processes

    def __iter__(self) -> Iterator[list[int]]:
        first = self.begin() + self.rank * self.batch_size
        for start in count(first, self.num_processes * self.batch_size):
            yield list(range(start, start + self.batch_size))
