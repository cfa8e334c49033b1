"""The training loop, run folders, checkpoints and metrics logs."""
