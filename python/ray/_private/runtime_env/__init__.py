"""Libraries read the name of a variable here, see `constants`."""
