"""What turns scores into attention weights instead of softmax."""
