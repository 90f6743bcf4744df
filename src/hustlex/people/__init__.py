"""What the rooms know of one person: read for the console's page and for ``hustlex user show``; nothing more is kept.

``person`` looks, as far as who asks may see; ``timeline`` says what happened, in sentences; ``notes`` reads what
operators did.
"""
