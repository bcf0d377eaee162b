#!/usr/bin/env python3
"""Average the weights of two stages of one training.

python scripts/average_checkpoints.py FIRST SECOND --share .6 -o OUT

Between a cautious first stage and a bold second one lies every degree of boldness; both started from the same weights,
so what lies between works too (Wortsman et al., "Model soups", ICML 2022).
"""

import argparse
from pathlib import Path

import torch

from lookcast.inference.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, default=0.6, help="of the second (default .6)")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    if not 0 <= args.share <= 1:
        parser.error(f"--share: expected a number in [0, 1], got {args.share}")
    (first, first_header), (second, header) = load_checkpoint(args.first), load_checkpoint(args.second)
    weights, start = second.state_dict(), first.state_dict()
    second.load_state_dict({name: torch.lerp(start[name], weights[name], args.share) for name in weights})
    training = {"first_stage": first_header["training"], "second_stage": header["training"], "share": args.share}
    save_checkpoint(args.out, second, {**header, "training": training})


if __name__ == "__main__":
    main()
