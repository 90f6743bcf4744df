"""``python -m hustlex``."""

from hustlex.cli.entry import main

if __name__ == "__main__":
    main()
