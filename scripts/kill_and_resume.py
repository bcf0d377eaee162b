#!/usr/bin/env python3
"""Stylize many small photos while processes are killed at random moments, and check the files that remain.

    python scripts/kill_and_resume.py --photos 1000 --kills 40 --seed 0 [OPTIONS OF lookcast stylize]

Two processes of `lookcast stylize FOLDER --resume --share I/2` write into one folder. The script kills one of them by
SIGKILL, SIGTERM or SIGINT, starts it again, and so on, until all photos are written. Without further options, the
processes use the universal look. The script fails if

* a photo is missing, is incomplete, or differs from the output of a run that is not killed,
* a finished photo is written again,
* a process changes a photo that it reads, prints a traceback or ends in an unexpected way,
* a file other than the photos remains. The next process removes the temporary files of a killed process.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

PROCESSES = 2
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SUFFIXES = (".jpg", ".png", ".webp", ".tif")
MAX_DELAY = 6.0
"""Seconds from the start of a process to the latest kill that does not wait for photos."""
IN_WRITING = 0.6
"""Share of the kills that wait until the process is writing a photo. Other kills rarely meet this millisecond."""
TIMEOUT = 600.0
"""Seconds in which the processes must write a photo or end."""


def save_photo(path: Path, draws: np.random.Generator, sides: tuple[int, int]) -> None:
    """Write a photo of random colours whose sides are within a range of pixels."""
    colors = draws.integers(0, 256, (6, 8, 3), np.uint8)
    width, height = draws.integers(sides[0], sides[1], 2, endpoint=True)
    Image.fromarray(colors).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(path)


def start(argv: list[str], errors: Path) -> subprocess.Popen[bytes]:
    """Start `lookcast stylize` with its messages in a file."""
    with errors.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "lookcast.cli", "stylize", *argv],
            stdout=subprocess.DEVNULL,
            stderr=file,
            # A background job of a shell ignores SIGINT, and its children inherit this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )


class Folder:
    """The output folder, with the inode and time of each photo that was found in it."""

    def __init__(self, path: Path):
        self.path = path
        self.seen: dict[str, tuple[int, int]] = {}

    def photos(self) -> int:
        """Return the number of finished photos.

        Raises:
            SystemExit: a finished photo was written again or removed.
        """
        files = {path.name: path.stat() for path in self.path.glob("[!.]*")}
        states = {name: (status.st_ino, status.st_mtime_ns) for name, status in files.items()}
        if changed := [name for name, state in self.seen.items() if states.get(name) != state]:
            sys.exit(f"written again or removed: {changed}")
        self.seen = states
        return len(states)

    def temporaries(self, process: subprocess.Popen[bytes]) -> list[Path]:
        """Return the temporary files of a process."""
        return list(self.path.glob(f".*-{process.pid}-*"))

    def stop_in_writing(self, process: subprocess.Popen[bytes]) -> None:
        """Stop a process while it writes a photo; give up after `MAX_DELAY`, or if the process ends."""
        deadline = time.monotonic() + MAX_DELAY
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(psutil.NoSuchProcess):
                # The open files of a process are listed faster than a folder of many photos.
                if not any(".lookcast-" in file.path for file in psutil.Process(process.pid).open_files()):
                    continue
                process.send_signal(signal.SIGSTOP)
                if self.temporaries(process):
                    return
                process.send_signal(signal.SIGCONT)


def run_with_kills(argv: list[str], out: Folder, errors: Path, photos: int, kills: int, draws: random.Random) -> int:
    """Run the processes until all photos are written, and return the number of temporary files after the kills.

    Raises:
        SystemExit: a process ended with an unexpected exit code, or no process wrote a photo within `TIMEOUT`.
    """
    parts = [[*argv, "--resume", "--share", f"{part}/{PROCESSES}"] for part in range(PROCESSES)]
    running = [start(part, errors) for part in parts]
    try:
        return _kill(running, parts, out, errors, photos, kills, draws)
    finally:
        for process in running:
            process.kill()
            process.wait()


def _kill(
    running: list[subprocess.Popen[bytes]],
    parts: list[list[str]],
    out: Folder,
    errors: Path,
    photos: int,
    kills: int,
    draws: random.Random,
) -> int:
    left = 0
    for kill in tqdm(range(kills), unit="kill", disable=None):
        remaining = photos - out.photos()
        wanted = out.photos() + draws.randrange(min(remaining, 2 * remaining // (kills - kill)) + 1)
        victim, signum, delay = draws.randrange(PROCESSES), draws.choice(SIGNALS), draws.uniform(0, MAX_DELAY)
        deadline = time.monotonic() + (delay if wanted == out.photos() else TIMEOUT)
        while out.photos() < wanted and any(process.poll() is None for process in running):
            if time.monotonic() > deadline:
                sys.exit(f"no photo in {TIMEOUT:.0f} s")
            time.sleep(draws.uniform(0, 0.02))
        while wanted == out.photos() and time.monotonic() < deadline:
            time.sleep(0.01)
        if draws.random() < IN_WRITING:
            out.stop_in_writing(running[victim])
        running[victim].send_signal(signum)
        running[victim].send_signal(signal.SIGCONT)  # a stopped process does not handle other signals
        code = running[victim].wait(TIMEOUT)
        # After Ctrl-C, the command ends with 130. Before Python runs the command, the signal ends the process.
        if code not in (0, -signum, 128 + signum):
            sys.exit(f"{errors.read_text(encoding='utf-8')}\nexit code {code} after {signum.name}")
        left += len(out.temporaries(running[victim]))
        running[victim] = start(parts[victim], errors)
    for process in running:
        if code := process.wait(TIMEOUT):
            sys.exit(f"{errors.read_text(encoding='utf-8')}\nexit code {code} of a process that was not killed")
    return left


def main() -> None:
    """Make the photos, run the processes and check the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sides", type=int, nargs=2, default=(64, 256), metavar=("MIN", "MAX"), help="in pixels")
    args, options = parser.parse_known_args()
    colors = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for number in range(args.photos):
            save_photo(folder / "in" / f"{number:04d}{SUFFIXES[number % len(SUFFIXES)]}", colors, args.sides)
        save_photo(folder / "style.png", colors, args.sides)
        read = {path.name: path.read_bytes() for path in (folder / "in").iterdir()}
        argv = [str(folder / "in"), *(options or ["--style", str(folder / "style.png")])]
        errors, out = folder / "errors.txt", Folder(folder / "out")
        begin = time.monotonic()
        left = run_with_kills(
            [*argv, "-o", str(out.path)], out, errors, args.photos, args.kills, random.Random(args.seed)
        )
        seconds = time.monotonic() - begin
        if start([*argv, "-o", str(folder / "undisturbed")], errors).wait():
            sys.exit(errors.read_text(encoding="utf-8"))
        out.photos()
        written = {path.name: path.read_bytes() for path in out.path.iterdir()}
        expected = {path.name: path.read_bytes() for path in (folder / "undisturbed").iterdir()}
        if names := written.keys() ^ read.keys():
            sys.exit(f"missing photos, or other files: {sorted(names)}")
        if names := [name for name in expected if written[name] != expected[name]]:
            sys.exit(f"differ from those of an undisturbed run: {names}")
        if read != {path.name: path.read_bytes() for path in (folder / "in").iterdir()}:
            sys.exit("a photo that was read is not as before")
        if "Traceback" in (text := errors.read_text(encoding="utf-8")):
            sys.exit(text)
        print(
            f"{len(written)} photos written once each in {seconds:.0f} s, {args.kills} kills, {left} temporary "
            "files of killed processes, none at the end"
        )


if __name__ == "__main__":
    main()
