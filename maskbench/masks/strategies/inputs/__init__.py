"""What happens to tokens and embeddings before a layer reads them."""
