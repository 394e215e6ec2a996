"""MCP: a server of four read-only tools for assistants, over standard input and output.

Needs the extra ``mcp``. No part of a text is stored or logged, and no connection is opened.
"""

from openmed_ner.errors import require_extra

require_extra("mcp.server.mcpserver", "mcp")

from openmed_ner.integrations.mcp.server import make_server  # noqa: E402
from openmed_ner.integrations.mcp.tools import Limits  # noqa: E402

__all__ = ["Limits", "make_server"]
