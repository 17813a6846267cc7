"""Honest evaluation: hold-outs, ranking metrics, reports."""
