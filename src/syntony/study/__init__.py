"""Many runs and their pictures."""
