"""Training loops, losses, progress, devices."""
