"""Estimates how many tokens a text has, independent of any model's tokenizer.

An ASCII character counts as a quarter of a token, as in English prose; any other as a whole one,
about right for Chinese and Japanese. So little is underestimated.
"""

ASCII_PER_TOKEN = 4


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a model reads in `text`; at least one for any text."""
    n_ascii = sum(character.isascii() for character in text)
    return -(-n_ascii // ASCII_PER_TOKEN) + len(text) - n_ascii
