"""Tagging files: which inputs, in what parts, with which receipt."""
