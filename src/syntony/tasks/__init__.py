"""What lies between agents."""
