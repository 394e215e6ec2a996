"""Encoders, adapters and output layers. Needs the ``train`` extra: torch, transformers, peft."""
