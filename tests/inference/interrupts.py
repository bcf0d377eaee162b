"""Interrupt `stylize_files` at each line of the modules that wait for threads; `test_batch.py` runs this program.

    python -m tests.inference.interrupts FOLDER

A trace function sends SIGINT at the lines and at the ends of functions. At random moments, a hang is rare: of 11,600
signals to a program that only submits work to a `ThreadPoolExecutor`, one made Python wait for ever.
"""

import concurrent.futures
import faulthandler
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import tqdm.std

from lookcast.inference.batch import stylize_files
from lookcast.inference.jobs import plan_jobs
from lookcast.inference.stylizer import Stylizer
from tests.looks import Negative
from tests.photo_files import save_photo

WAITING = (Path(concurrent.futures.__file__).parent, Path(threading.__file__), Path(tqdm.std.__file__))
SECONDS = 60
"""Time after which a run that waits is ended. It takes milliseconds."""


class Interrupt:
    """Trace function that counts the moments of the main thread, and sends SIGINT at one of them.

    A moment is a line of a file of `WAITING`, or the end of a function there.

    Args:
        moment: file, line and event; None sends no signal.
    """

    def __init__(self, moment=None):
        self.moment = moment
        self.seen = Counter()

    def __call__(self, frame, event, _):
        file = Path(frame.f_code.co_filename)
        if not any(file.is_relative_to(place) for place in WAITING):
            return None
        if event == "call":
            return self
        moment = (file.name, frame.f_lineno, event)
        self.seen[moment] += 1
        if moment == self.moment and self.seen[moment] == 1:
            signal.raise_signal(signal.SIGINT)
        return self


def stylize(folder, out, interrupt):
    """Stylize the photos with two threads; return True if the interrupt ended the run."""
    jobs = plan_jobs(sorted((folder / "in").iterdir()), out)
    sys.settrace(interrupt)
    try:
        stylize_files([Stylizer(Negative(), {}, "cpu")], jobs, workers=2)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def main(folder):
    for number in range(4):
        save_photo(folder / "in" / f"{number}.png")
    moments = Interrupt()
    stylize(folder, folder / "all", moments)
    interrupted = 0
    for number, moment in enumerate(sorted(moments.seen)):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        out, interrupt = folder / str(number), Interrupt(moment)
        ended = stylize(folder, out, interrupt)
        sent = interrupt.seen[moment] > 0  # the threads take turns differently each time
        assert ended == sent, moment
        interrupted += sent
        for path in out.glob("*"):
            assert path.read_bytes() == (folder / "all" / path.name).read_bytes(), moment
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, moment
        assert all(thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()), moment
    print(f"{interrupted} of {len(moments.seen)} moments")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
