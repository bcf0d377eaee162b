"""A shard that is being written: a plain tar."""

import tarfile
import zlib
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from lookcast.data.store.codec import MASK_SUFFIX
from lookcast.data.store.encoder import Encoded
from lookcast.data.store.index import photo_key

_BLOCK = tarfile.BLOCKSIZE


class Record(NamedTuple):
    """Where a photo lies in its tar.

    Attributes:
        block: of 512 bytes, at which its pixels begin; its header is the block before.
        length: of its pixels, in bytes.
        mask_length: of its mask, whose header and data follow; 0 without one.
        checksum: CRC-32 from the first byte of the pixels to the last of the mask.
    """

    block: int
    length: int
    mask_length: int
    checksum: int


class ShardTar:
    """Members `000000123.jpg`, `000000123.mask.png` with headers of the plainest kind: same photos, same bytes.

    Args:
        path: the file.
        kind: how pixels are stored.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.kind = kind
        self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  # closed by `__exit__`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.tar.close()
        else:  # the file goes away; what closing adds might not fit on a full disk
            self.tar.fileobj.close()

    def has_room(self, encoded: Encoded, limit: int) -> bool:
        """Whether a photo goes in without the tar growing beyond a limit; the first one always does."""
        blocks = sum(1 + -(-len(data) // _BLOCK) for data in (encoded.photo, encoded.mask) if data)
        end = -(-(self.tar.offset + _BLOCK * (blocks + 2)) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
        return self.tar.offset == 0 or end <= limit

    def add(self, number: int, encoded: Encoded) -> Record:
        """Append a photo, and its mask if it has one."""
        start = self.tar.offset + _BLOCK
        self._add(f"{photo_key(number)}.{self.kind}", encoded.photo)
        checksum = zlib.crc32(encoded.photo)
        if encoded.mask:
            padding = bytes(-len(encoded.photo) % _BLOCK)
            header = self._add(f"{photo_key(number)}.{MASK_SUFFIX}", encoded.mask)
            checksum = zlib.crc32(padding + header + encoded.mask, checksum)
        return Record(start // _BLOCK, len(encoded.photo), len(encoded.mask), checksum)

    def _add(self, name: str, data: bytes) -> bytes:
        """Append a member, give back its header."""
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self.tar.addfile(member, BytesIO(data))
        return member.tobuf(tarfile.USTAR_FORMAT)
