"""Models of providers: which one answers, how it is asked, what is retried."""
