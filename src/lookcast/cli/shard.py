"""The command `lookcast shard`."""

import argparse

from lookcast.cli.options import path
from lookcast.cli.streams import set_up_logging


def shard(argv: list[str]) -> int:
    """Run `lookcast shard`."""
    args = build_parser().parse_args(argv)
    from lookcast.data.store.writer import make_shards

    set_up_logging()
    made, size = make_shards(
        args.folder,
        args.out,
        args.masks,
        format=args.format,
        min_side=args.min_side,
        quality=args.quality,
        shard_mb=args.shard_mb,
        jobs=args.jobs,
    )
    shards = "1 shard" if made.shards == 1 else f"{made.shards} shards"
    sizes = f"{size / 1e6:.1f} MB, {size / made.photos:.0f} bytes a photo"
    print(f"{made.photos} of {made.photos + made.left_out} photos in {args.out}: {shards}, {sizes}")
    return 1 if made.left_out else 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="lookcast shard",
        description="Pack a folder of photos into shards for training: tar files with an index. Training reads "
        "shards several times as fast as photo files, from a disk or an object store. After an interruption, run the "
        "same command again to resume.",
        epilog="Exit code: 0; 1 if some photos could not be read and were left out; 2 for bad input.",
    )
    parser.add_argument("folder", type=path, metavar="FOLDER", help="folder of photos, searched recursively")
    parser.add_argument(
        "-o",
        "--out",
        type=path,
        required=True,
        metavar="SHARDS",
        help="output folder: new, empty, or of an earlier run of the same command",
    )
    parser.add_argument(
        "--masks", type=path, metavar="FOLDER", help="folder of masks: PNGs in the nine colours, named like the photos"
    )
    parser.add_argument(
        "--min-side",
        "--shortest",
        type=int,
        default=512,
        metavar="PX",
        help="shrink larger photos to this shorter side (default: 512)",
    )
    parser.add_argument(
        "--format",
        default="npy",
        help="npy (default): exact, fastest, large; jpg: a fifth of the size, errors of 1 or 2/255; png: exact, slow",
    )
    parser.add_argument("--quality", type=int, default=95, metavar="N", help="JPEG quality, 1 to 100 (default: 95)")
    parser.add_argument(
        "--shard-mb", type=int, default=256, metavar="N", help="maximum size of a shard in MiB (default: 256)"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="number of processes that read photos (default: one for each core)"
    )
    return parser
