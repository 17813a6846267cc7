"""Plain torch modules, without input or output."""
