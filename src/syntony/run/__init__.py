"""One run: the only host loop, the only files."""
