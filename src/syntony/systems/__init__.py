"""The learners: one file each, read as the paper's algorithm box."""
