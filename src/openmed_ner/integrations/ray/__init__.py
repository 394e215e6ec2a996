"""Tag on several machines: the same tagger in many processes, the same output as of one.

Ray is imported where it is used; ``openmed-ner[ray]`` installs it.
"""

from openmed_ner.integrations.ray.cluster import connect
from openmed_ner.integrations.ray.engine import RayEngine
from openmed_ner.integrations.ray.worker import load_tag

__all__ = ["RayEngine", "connect", "load_tag"]
