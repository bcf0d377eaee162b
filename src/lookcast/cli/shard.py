"""`lookcast shard`."""

import argparse
from pathlib import Path


def shard(argv: list[str]) -> int:
    """`lookcast shard`."""
    args = _parser().parse_args(argv)
    import logging

    from lookcast.data.store.encoder import ShardOptions
    from lookcast.data.store.writer import make_shards

    logging.basicConfig(format="lookcast: %(message)s")
    options = ShardOptions(args.format, args.min_side, args.quality, args.shard_mb)
    made, size = make_shards(args.folder, args.out, args.masks, options, args.jobs)
    shards = "1 shard" if made.shards == 1 else f"{made.shards} shards"
    size_of = f"{size / 1e6:.1f} MB, {size / made.photos:.0f} bytes a photo"
    print(f"{made.photos} of {made.photos + made.left_out} photos in {args.out}: {shards}, {size_of}")
    return 1 if made.left_out else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lookcast shard",
        description="Put a folder of photos into shards to train on: tar files and an index, read several times as "
        "fast as photo files, from a disk or an object store. Interrupted, the same command goes on.",
        epilog="Exit code: 0; 1 when some photos could not be read and were left out; 2 for bad input.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of photos; those in its folders count too")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="SHARDS",
        help="folder to write: new, or that of the same command",
    )
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="PNGs in the nine colours, named like the photos")
    parser.add_argument(
        "--min-side",
        "--shortest",
        type=int,
        default=512,
        metavar="PX",
        help="shorter side of what larger photos are shrunk to (default: 512)",
    )
    parser.add_argument(
        "--format",
        default="npy",
        help="npy (default): exact, fastest, large; jpg: a fifth of that, off by a level or two; png: exact, slow",
    )
    parser.add_argument("--quality", type=int, default=95, metavar="N", help="of jpg, 1 to 100 (default: 95)")
    parser.add_argument("--shard-mb", type=int, default=256, metavar="N", help="size of a tar in MiB (default: 256)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes that read photos (default: one for each core)")
    return parser
