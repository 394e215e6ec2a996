"""What is trained for: token tags, masked language modelling, a teacher's probabilities."""
