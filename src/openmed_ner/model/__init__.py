"""Encoders, adapters and heads. Needs the ``train`` extra: torch, transformers, peft."""
