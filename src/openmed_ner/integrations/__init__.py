"""Components for other libraries, one module each, imported only by who uses that library."""
