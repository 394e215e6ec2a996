"""``python -m openmed_ner``: the command line, where its script is not on the path."""

from openmed_ner.cli.main import main

if __name__ == "__main__":
    main()
