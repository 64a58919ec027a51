"""One file per command: it parses, calls the library and prints what comes back."""
