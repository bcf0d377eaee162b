"""Entry point of `python -m lookcast.cli`."""

import sys

from lookcast.cli import main

if __name__ == "__main__":  # a worker process that is spawned imports this file under another name
    sys.exit(main())
