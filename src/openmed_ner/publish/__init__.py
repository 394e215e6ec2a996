"""Bundles on the Hugging Face hub: pushed in one commit, fetched at one commit, every file checked."""

from openmed_ner.publish.download import fetch_bundle
from openmed_ner.publish.hub import Reference, resolve
from openmed_ner.publish.upload import UploadPlan, plan_push, push

__all__ = ["Reference", "UploadPlan", "fetch_bundle", "plan_push", "push", "resolve"]
