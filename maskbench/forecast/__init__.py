"""Forecasts before the first step of an experiment: its cost, and the statistical power of its seeds."""
