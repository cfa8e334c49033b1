"""Entry point of `python -m syntony`, the same as `syntony`."""

import sys

from syntony.cli import main

sys.exit(main())
