"""The control plane: the service 'personalize'."""
