"""What PersonaLens is measured by, beside its peers: ``make bench``, or one module at a time.

    python -m benchmarks.accuracy --dataset ml-100k
    python -m benchmarks.page

Each module that measures leaves a file in ``benchmarks/results``; :mod:`benchmarks.page` makes
``benchmarks/README.md`` of them. :mod:`benchmarks.everything` runs them all.
"""
