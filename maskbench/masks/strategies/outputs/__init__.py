"""What happens to output logits and to the loss."""
