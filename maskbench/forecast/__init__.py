"""Forecasts before the first step of an experiment: what it will cost, and what its seeds could show."""
