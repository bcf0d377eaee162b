"""Entry point of `python -m lookcast.cli`."""

import sys

from lookcast.cli import main

sys.exit(main())
