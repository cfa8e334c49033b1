"""Teams whose agents transmit what they observe over a channel."""
