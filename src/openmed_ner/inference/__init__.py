"""Tag text with a bundle."""
