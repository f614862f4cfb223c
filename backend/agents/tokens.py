"""Estimates how many tokens a text is, without any model's own tokenizer.

Every provider counts differently, and the memory of a slot must not depend on which one answers. An
ASCII character counts for a quarter of a token, as in English prose; any other for a whole one,
which is about right for Chinese and Japanese and too much for accents. So a bound on the
estimate is a bound on what is sent: English is met closely, nothing else is underestimated by much.
"""

ASCII_PER_TOKEN = 4


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a model reads in `text`; at least one for any text."""
    n_ascii = sum(character.isascii() for character in text)
    return -(-n_ascii // ASCII_PER_TOKEN) + len(text) - n_ascii
