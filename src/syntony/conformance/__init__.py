"""Rules that every task, channel and system keeps, the built-in and a user's own."""
