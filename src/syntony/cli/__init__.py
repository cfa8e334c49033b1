"""Command line interface: parses arguments, calls the library, prints results."""

from syntony.cli.main import main as main
