"""Tables of constants by name: those of the papers, and ours."""
