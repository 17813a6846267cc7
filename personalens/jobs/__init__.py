"""Jobs, the work that a request asks for: how one runs, the worker, and how a home is opened."""
