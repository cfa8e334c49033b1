"""The `syntony` command: words to records, calls, and what is printed."""

from syntony.cli.command import main as main
