"""Checks whether a run is whole: nothing damaged, lost, edited or mixed up.

It compares settings, states, metrics and exported weights with the digests that
training has stored in them. They find damage, not forgery: whoever writes a folder can
write its digests. Exit code 2 if something is wrong.
"""

from dataclasses import dataclass
from pathlib import Path

from syntony.cli.arguments import RunArgument
from syntony.cli.console import print_visible
from syntony.errors import InvalidInputError


@dataclass(frozen=True)
class Verify:
    """Arguments of `syntony verify`."""

    run: RunArgument
    """Run folder."""

    def execute(self) -> None:
        """Prints what was checked.

        Raises:
            InvalidInputError: something is damaged; each problem is one line before.
        """
        # Imported late: --help need not wait for NumPy.
        from syntony.training.verification import MAX_PROBLEMS, verify_run

        result = verify_run(Path(self.run))
        for problem in result.problems[:MAX_PROBLEMS]:
            print_visible(problem)
        if result.problems:
            count = len(result.problems)
            told = f"{count} problem{'s' if count > 1 else ''}"
            raise InvalidInputError(f"{self.run} is not whole: {told}")
        print_visible(f"{self.run} is whole: {', '.join(result.checked)}")
        for note in result.notes:
            print_visible(f"note: {note}")
