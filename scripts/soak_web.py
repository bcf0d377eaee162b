#!/usr/bin/env python3
"""Soak test of `lookcast web`: clients go through visits for a given time, on this machine only.

python scripts/soak_web.py --seconds 3600 --clients 8

Each client uploads photos, makes results with and without masks, refines one, moves the strength, zooms, downloads,
runs a batch and ends its visit, again and again. It checks that every picture is its own. The script prints the memory
and the files of the server while it runs, and then the growth of the memory: the mean of the last quarter of the time,
minus the mean of the second quarter. It exits with code 1 if a request failed, or if the memory grew by more than
--growth MB.
"""

import argparse
import io
import random
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.web.servers import memory_of, running_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--megapixels", type=float, default=2.0, help="size of the photos")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two rows")
    parser.add_argument("--growth", type=float, default=50.0, help="largest accepted growth of the memory in MB")
    args = parser.parse_args()
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as folder, running_server(folder=Path(folder)) as (address, process):
        threads = [
            threading.Thread(target=_visit_again, args=(address, number, args.megapixels, stop, statuses, faults))
            for number in range(args.clients)
        ]
        for thread in threads:
            thread.start()
        start, rows = time.monotonic(), []
        print(" second   MB now  MB most  files  MB of files  requests  refused  visits")
        bar = tqdm(total=round(args.seconds), unit="s", disable=None)
        while (now := time.monotonic() - start) < args.seconds and not faults:
            time.sleep(min(args.every, args.seconds - now))
            files = _sizes(Path(folder))
            rows.append((time.monotonic() - start, memory_of(process.pid)))
            refused = sum(count for status, count in statuses.items() if status >= 400)
            tqdm.write(
                f"{rows[-1][0]:7.0f} {rows[-1][1]:8.0f} {memory_of(process.pid, 'VmHWM'):8.0f} {len(files):6d} "
                f"{sum(files) / 2**20:12.1f} {sum(statuses.values()):9d} {refused:8d} {statuses[204]:7d}",
                file=sys.stdout,
            )
            bar.update(round(rows[-1][0]) - bar.n)
        stop.set()
        for thread in threads:
            thread.join()
        bar.close()
        end = time.monotonic() + 10  # the last visits are deleted just after their last answers
        while (left := _sizes(Path(folder))) and time.monotonic() < end:
            time.sleep(0.1)
    seconds = rows[-1][0]
    quarters = [[mb for at, mb in rows if first <= 4 * at / seconds <= first + 1] for first in (1, 3)]
    growth = float(np.mean(quarters[1]) - np.mean(quarters[0]))
    print(f"statuses: {dict(sorted(statuses.items()))}; files left before the server ended: {len(left)}")
    print(f"growth of the memory from the second to the last quarter of {seconds:.0f} s: {growth:+.1f} MB")
    for fault in faults:
        print(fault)
    sys.exit(bool(faults) or growth > args.growth)


def _sizes(folder: Path) -> list[int]:
    """Return the bytes of each file of the visits."""
    sizes = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # the server has just deleted it
            if path.is_file() and path.suffix != ".lock":
                sizes.append(path.stat().st_size)
    return sizes


def _visit_again(
    address: str, number: int, megapixels: float, stop: threading.Event, statuses: Counter[int], faults: list[str]
) -> None:
    """Go through visits until the end of the test. A fault ends the whole test."""
    draw = random.Random(number)
    while not stop.is_set():
        try:
            _visit(address, draw, megapixels, statuses)
        except Exception as error:  # reported by `main`
            faults.append(f"client {number}: {type(error).__name__}: {error}")
            stop.set()


def _visit(address: str, draw: random.Random, megapixels: float, statuses: Counter[int]) -> None:
    side = round((megapixels * 1e6 / 1.5) ** 0.5)
    noise = np.random.default_rng(draw.getrandbits(32)).integers(0, 256, (12, 18, 3)).astype(np.uint8)
    photo = Image.fromarray(noise).resize((side * 3 // 2, side), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    photo.save(encoded, draw.choice(["PNG", "JPEG"]), compress_level=1)
    with httpx.Client(base_url=address, timeout=300) as client:

        def ask(method: str, path: str, **options: object) -> httpx.Response:
            answer = client.request(method, f"/api/{path}", **options)  # type: ignore[arg-type]
            statuses[answer.status_code] += 1
            if answer.status_code >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return answer

        known = ask("GET", "settings").json()
        content = ask("POST", "photos?name=content.png", content=encoded.getvalue()).json()["id"]
        names = draw.sample(known["examples"]["styles"], 2)
        styles = [ask("POST", f"photos/example?name={name}&kind=styles").json()["id"] for name in names]
        choices = draw.choice([{}, {}, {"use_masks": "auto"}, {"refine": 2}])
        chosen = [{"id": style, "weight": draw.uniform(1, 3)} for style in styles[: draw.choice([1, 2])]]
        result = ask("POST", "results", json={"content": content, "styles": chosen, **choices}).json()["id"]
        for strength in (0.2, 0.4, 0.6, 0.8, 1.0):
            ask("GET", f"results/{result}/preview?side=1024&strength={strength}")
        box = f"x={side // 3}&y={side // 4}&w=300&h=200"
        crop = np.asarray(Image.open(io.BytesIO(ask("GET", f"results/{result}/crop?{box}&strength=0").content)))
        own = np.asarray(Image.open(encoded))[side // 4 : side // 4 + 200, side // 3 : side // 3 + 300]
        if np.abs(crop.astype(int) - own).max() > 3:  # two decoders of JPEG differ by some levels
            raise RuntimeError("a picture of another visitor")
        kind = draw.choice(["jpeg", "png", "tiff", "webp"])
        ask("GET", f"results/{result}/download?format={kind}&strength=0.7")
        if draw.random() < 0.2:
            ask("POST", "masks/auto", json={"content": content, "styles": styles})
            ask("GET", f"photos/{content}/mask")
        if draw.random() < 0.1:
            ask("GET", f"results/{result}/lut?format=cube")
        if draw.random() < 0.3:
            batch = ask("POST", "batches", json={"styles": chosen}).json()["id"]
            for name in ("a.jpg", "b.jpg"):
                ask("POST", f"batches/{batch}/photos?name={name}", content=encoded.getvalue())
            ask("POST", f"batches/{batch}/start")
            while ask("GET", f"batches/{batch}").json()["state"] != "done":
                time.sleep(0.2)
            if len(zipfile.ZipFile(io.BytesIO(ask("GET", f"batches/{batch}/zip").content)).namelist()) != 2:
                raise RuntimeError("a batch lost a photo")
        ask("DELETE", "visit")


if __name__ == "__main__":
    main()
