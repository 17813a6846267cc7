"""What the configuration in a request means."""
