"""Live events: the service 'personalize-events'."""
