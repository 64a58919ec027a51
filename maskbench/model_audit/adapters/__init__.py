"""Subjects for the modules of libraries: torch itself, Hugging Face transformers, x-transformers, and plain modules."""
