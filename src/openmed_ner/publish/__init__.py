"""Bundles to the Hugging Face hub and from it: pinned, checked, and whole or not at all."""

from openmed_ner.publish.download import fetch_bundle
from openmed_ner.publish.hub import Reference, resolve
from openmed_ner.publish.upload import UploadPlan, plan_push, push

__all__ = ["Reference", "UploadPlan", "fetch_bundle", "plan_push", "push", "resolve"]
