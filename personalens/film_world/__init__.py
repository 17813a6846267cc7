"""The simulated film service: its films, its viewers, and what they watch."""
