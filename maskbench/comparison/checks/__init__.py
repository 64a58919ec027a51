"""What is said above or below a comparison because runs cannot be taken as they are."""
