"""What is added to attention scores: biases and log-gates."""
