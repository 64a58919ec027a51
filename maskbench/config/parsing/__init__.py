"""From the bytes of a YAML file to checked values, every problem with its line and column."""
