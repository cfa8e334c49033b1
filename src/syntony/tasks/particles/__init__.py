"""Tasks of the multi-agent particle environments (MPE)."""
