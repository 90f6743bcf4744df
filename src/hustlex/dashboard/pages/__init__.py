"""One file for each page. Which address shows which page stands in ``routes``."""
