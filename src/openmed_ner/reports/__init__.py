"""Reports of tagged documents: what was found, how often, together with what, and in which years."""

from openmed_ner.reports.page import write_summary_page
from openmed_ner.reports.summary import RunSummary, SummaryOptions

__all__ = ["RunSummary", "SummaryOptions", "write_summary_page"]
