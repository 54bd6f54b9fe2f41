// An empty library, for sonames that others need to be there.
