"""The corpora an experiment file can name, one file or package each."""
