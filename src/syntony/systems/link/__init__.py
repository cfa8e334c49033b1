"""End-to-end learned communication links."""
