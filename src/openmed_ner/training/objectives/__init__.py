"""Training objectives: token tags, masked language modelling, and a teacher's probabilities."""
