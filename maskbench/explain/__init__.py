"""Single sentences behind a mean difference: which ones an arm wins, of what kind they are, where the models look."""
