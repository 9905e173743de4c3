"""What the pages say: words, names, numbers, dates, prices and strings of no meaning, so that a model has to look."""

import string
from functools import lru_cache
from pathlib import Path
from random import Random

DICTIONARY = Path("/usr/share/dict/words")  # Debian's wamerican
LETTERS_AND_DIGITS = string.ascii_letters + string.digits
CHARACTERS = string.digits + string.ascii_letters + string.punctuation
MARKS = ".,:;!?"
UNITS = ("kg", "km", "cm", "mm", "%", "h", "min", "g", "l", "EUR", "USD", "pcs", "GB", "V", "W")


@lru_cache(maxsize=1)
def dictionary() -> list[str]:
    """Words of ASCII letters, 14 at most."""
    words = DICTIONARY.read_text(encoding="utf-8").split()
    return [word for word in words if word.isascii() and word.isalpha() and len(word) <= 14]


def piece(random: Random) -> str:
    """One run of characters without a blank: what stands between two blanks of a line."""
    kind = random.random()
    if kind < 0.6:
        return _word(random)
    if kind < 0.8:
        return _number(random)
    if kind < 0.9:
        return _noise(random)
    return random.choice((f"({_word(random)})", f'"{_word(random)}"', f"{_word(random)}-{_word(random)}", "-", "&"))


def prose(random: Random) -> str:
    """One word of a sentence, with a mark behind it now and then."""
    if random.random() < 0.12:
        return _number(random)
    return _word(random) + (random.choice(MARKS) if random.random() < 0.14 else "")


def title(random: Random) -> str:
    """One word of a heading."""
    if random.random() < 0.2:
        return _number(random)
    word = random.choice(dictionary())
    return random.choice((word.capitalize(), word.capitalize(), word.upper(), word))


def cell(random: Random) -> str:
    """One cell of a table: a figure, a short word or a code."""
    return random.choice((_number, _number, _number, _word, _code))(random)


def _word(random: Random) -> str:
    word = random.choice(dictionary())
    case = random.random()
    if case < 0.62:
        return word.lower()
    return word.capitalize() if case < 0.88 else word.upper()


def _noise(random: Random) -> str:
    letters = LETTERS_AND_DIGITS if random.random() < 0.6 else CHARACTERS
    return "".join(random.choices(letters, k=random.randint(1, 8)))


def _code(random: Random) -> str:
    return "".join(random.choices(string.ascii_uppercase, k=random.randint(1, 3))) + f"-{random.randint(0, 9999)}"


def _number(random: Random) -> str:
    whole = random.randint(0, 10 ** random.randint(1, 6) - 1)
    return random.choice(
        (
            str(whole),
            f"{whole}.{random.randint(0, 99):02}",
            f"{whole:,}.{random.randint(0, 99):02}",
            f"{whole},{random.randint(0, 9)}",
            f"${whole}.{random.randint(0, 99):02}",
            f"{random.randint(1, 31):02}.{random.randint(1, 12):02}.{random.randint(1900, 2099)}",
            f"{random.randint(1900, 2099)}-{random.randint(1, 12):02}-{random.randint(1, 31):02}",
            f"{random.randint(1, 12)}/{random.randint(1, 31)}/{random.randint(0, 99):02}",
            f"{random.randint(0, 23)}:{random.randint(0, 59):02}",
            f"{random.randint(0, 999)}{random.choice(UNITS)}",
            f"#{whole}",
            f"+{random.randint(1, 99)}",
            f"-{whole}",
        )
    )
