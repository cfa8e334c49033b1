"""The mathematics: arrays in, arrays out, one function for each equation."""
