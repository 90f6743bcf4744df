"""Applications built on hustlex; each is run and tested as a user would."""
