"""Tables in: schemas, CSV import, interactions, MovieLens and the simulated sample."""
