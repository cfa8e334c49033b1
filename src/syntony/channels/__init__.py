"""What lies between signals."""
