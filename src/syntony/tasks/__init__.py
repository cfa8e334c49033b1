"""Tasks: the environments in which a team of agents acts."""
