"""The filter language: which items, users or actions a list may hold."""
