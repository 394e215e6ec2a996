"""Tag on several machines with Ray: one tagger in many processes, with the output of a single one.

Ray is imported on use; the extra ``ray`` installs it.
"""

from openmed_ner.integrations.ray.cluster import connect
from openmed_ner.integrations.ray.engine import RayEngine
from openmed_ner.integrations.ray.worker import load_tag

__all__ = ["RayEngine", "connect", "load_tag"]
