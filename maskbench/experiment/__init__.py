"""Plan, prepare, train, measure: everything that runs a whole experiment."""
