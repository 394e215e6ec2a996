"""Components for other libraries, one package each, imported on use only."""
