"""The parameters: modules whose leaves are arrays."""
