"""Groups of runs: statistics, tables and figures."""
