"""Carry a study to a machine without a network, and its results back, in files of a limited size."""
