"""The work behind the operations: import, export, train, search, update, deploy."""
