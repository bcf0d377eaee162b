"""`lookcast evaluate`."""

import argparse
from pathlib import Path


def evaluate(argv: list[str]) -> int:
    """`lookcast evaluate`."""
    args = _parser().parse_args(argv)
    import logging

    from lookcast.checkpoints import UNIVERSAL
    from lookcast.evaluation.evaluate_pairs import evaluate_pairs, ready_outputs, stylized_outputs
    from lookcast.evaluation.pair_folder import find_pairs
    from lookcast.evaluation.report_files import PAGE, build_report, summary_table, write_report
    from lookcast.evaluation.scoring import open_encoder
    from lookcast.inference.stylizer import load

    logging.basicConfig(format="lookcast: %(message)s")
    ready: list[Path] = [] if args.outputs is None else [args.outputs]
    pairs = find_pairs(args.pairs, args.limit, ignore=[args.out, *ready])
    config = {"pairs": str(args.pairs), "limit": args.limit}
    if ready:
        source, checkpoint = ready_outputs(args.outputs), None
        config |= {"outputs": str(args.outputs)}
    else:
        stylizer = load(args.checkpoint, args.device)
        source, checkpoint = stylized_outputs(stylizer, args.masks, args.max_side), stylizer.header
        config |= {"checkpoint": args.checkpoint or UNIVERSAL, "masks": args.masks}
        config |= {"max_side": args.max_side, "device": str(stylizer.device)}
    encoder, description = open_encoder(args.pairs, args.teacher)
    results, skipped = evaluate_pairs(pairs, source, encoder, args.out)
    report = build_report(results, skipped, config, checkpoint, description)
    write_report(args.out, report)
    print(f"{summary_table(report)}\n\n{args.out / PAGE}")
    return 1 if skipped else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lookcast evaluate",
        description="Score a checkpoint, or ready-made images, on pairs of content and style; writes a report.",
        epilog="Exit code: 0; 1 when some pairs were broken and skipped; 2 for bad input.",
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="with content/ and style/; optional content_mask/, style_mask/, truth/; further ones: results of others",
    )
    scored = parser.add_mutually_exclusive_group()
    scored.add_argument("--checkpoint", metavar="FILE", help=".safetensors file, or the name of a shipped checkpoint")
    scored.add_argument("--outputs", type=Path, metavar="FOLDER", help="score the images in it, named as the contents")
    parser.add_argument(
        "--no-masks", dest="masks", action="store_false", help="stylize without masks; figures stay by region"
    )
    parser.add_argument(
        "--max-side",
        "--longest",
        type=int,
        metavar="PX",
        help="shrink contents to this longer side before; default: full size",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the first N pairs only")
    parser.add_argument(
        "--teacher", type=Path, metavar="NPZ", help="vgg19_pca.npz (default: in teacher/ beside FOLDER, if there)"
    )
    parser.add_argument("--device", default="auto", help="stylizes on auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder of the report")
    return parser
