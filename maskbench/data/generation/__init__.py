"""What generated corpora share: sampling, annotations, noise, distraction."""
