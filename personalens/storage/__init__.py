"""Everything that lies in a home, and the one record that opens it."""
