#!/usr/bin/env python3
"""Average the weights of the stages of one training.

python scripts/average_checkpoints.py FIRST SECOND [...] --shares .4,.6 [--licence TEXT] -o OUT

The average has a look between the calm look of one stage and the bold look of another; `--shares` sets where. It
also varies less between trainings than either stage. Averages of weights work, because each stage starts from the
weights of the previous stage (Wortsman et al., "Model soups", ICML 2022). The header of the result has the config of
every stage. Absolute paths in a config are reduced to file names, because a path is valid on one machine only.
"""

import argparse
from pathlib import Path
from typing import Any

from lookcast.checkpoints import load_checkpoint, save_checkpoint


def without_folders(value: Any) -> Any:
    """Replace each absolute path in a config by its last component."""
    if isinstance(value, dict):
        return {key: without_folders(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_folders(entry) for entry in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", type=Path, nargs="+")
    parser.add_argument("--shares", required=True, help="one share for each stage, in [0, 1], with sum 1")
    parser.add_argument("--licence", help="licence note of the result; default: that of the last stage")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    shares = [float(share) for share in args.shares.split(",")]
    if len(shares) != len(args.stages) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        parser.error(f"--shares: expected {len(args.stages)} numbers in [0, 1] of sum 1, got {args.shares}")
    generators, headers = zip(*map(load_checkpoint, args.stages), strict=True)
    states = [generator.state_dict() for generator in generators]
    generator = generators[-1]
    average = {name: sum(share * s[name] for share, s in zip(shares, states, strict=True)) for name in states[-1]}
    generator.load_state_dict(average)
    header = headers[-1] | {
        "training": {"stages": [without_folders(h["training"]) for h in headers], "shares": shares},
        "metrics": {"stages": [h["metrics"] for h in headers]},
        "steps": sum(h["steps"] for h in headers),
    }
    if args.licence is not None:
        header["licence"] = args.licence
    save_checkpoint(args.out, generator, header)


if __name__ == "__main__":
    main()
