"""Programs that another Python runs; they import nothing of this package."""
