"""Serving: the service 'personalize-runtime'."""
