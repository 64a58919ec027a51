"""Code shared by generated corpora: sampling, annotations, noise, distractors."""
