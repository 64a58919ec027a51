"""One HTML page that holds everything an experiment has to say: no network, no scripts, nothing beside it."""
