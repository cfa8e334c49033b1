"""`python -m syntony` is `syntony`."""

import sys

from syntony.cli import main

sys.exit(main())
