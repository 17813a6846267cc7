"""The recipes: one file each, usable without the service."""
