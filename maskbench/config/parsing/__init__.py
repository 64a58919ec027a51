"""Read and validate YAML files; every problem is reported with its line and column."""
