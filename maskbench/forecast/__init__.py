"""What is known of an experiment before its first step: what it will take, and what its seeds could show."""
