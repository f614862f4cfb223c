"""A plugin that cannot even be imported."""

raise RuntimeError("no moon")
