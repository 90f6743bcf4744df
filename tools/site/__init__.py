"""``make docs-site``: what the pages of docs become before and after a generator of static sites has seen them."""
