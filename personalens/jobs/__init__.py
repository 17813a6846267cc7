"""Who does the work that a request asks for: the runner, the worker, and how both are opened."""
