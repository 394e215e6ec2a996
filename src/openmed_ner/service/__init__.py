"""The HTTP service: an application over a tagger, its limits, and the server that runs it.

Needs the extra ``serve``. No part of a text is stored or logged.
"""
