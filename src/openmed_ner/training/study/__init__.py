"""Studies: adaptation, fine-tuning and scoring of many models, by one recipe, resumable."""
