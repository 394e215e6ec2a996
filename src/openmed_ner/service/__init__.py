"""The HTTP service: an application over a tagger, the limits it keeps to, and the server that runs it.

Needs the extra ``serve``. Nothing of a text is stored or logged.
"""
