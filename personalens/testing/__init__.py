"""Shared tests that a recipe's test class inherits, and a tiny world with known answers."""
