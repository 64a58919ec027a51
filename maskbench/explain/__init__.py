"""The single sentences behind a mean difference: which an arm wins, how they group, what the models attend to."""
