"""Train encoders and taggers: two stages, one loop. Needs the extra ``train``."""
