"""Prompts of the paper: its templates (Table 8) with its subjects (Table 9)."""

import random

TEMPLATES = {
    2: (
        "{} in the {}",
        "{} wearing a {}",
        "{} chasing a {}",
        "{} looking at a {}",
        "{} is sitting on a {}",
        "{} standing on a {}",
        "{} and {} playing in the garden",
        "{} and {} on top of the mountain",
        "{} and {} in the jungle",
        "{} and {} in the snow",
        "{} and {} on the beach",
        "{} and {} on a cobblestone street",
        "{} and {} standing next to each other",
    ),
    3: (
        "{} with a {} and {}",
        "{} is playing with {} in {}",
        "{} with {} in front of {}",
        "{} with a {} and a view of the {}",
        "{} with a {} and {} in the background",
    ),
}
SUBJECTS = {
    2: "dog|cat|bird|horse|guinea pig|glasses|hat|tower|boat|park|ruins|castle|desert|rainbow|"
    "candle|backpack".split("|"),
    3: "dog|stuffed animal|toy|cat|desert|hill|castle|backpack|can|candle|church|rainbow|ruins|"
    "tower|horse|bird|guinea pig|guitar|french horn|vase|robot".split("|"),
}


def prompts(count: int, seed: int = 0) -> list[str]:
    """`count` prompts; two and three subjects as often as in Multibench (904 and 1476 prompts)."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        subjects = 2 if rng.random() < 904 / (904 + 1476) else 3
        names = rng.sample(SUBJECTS[subjects], subjects)
        found.append("a " + rng.choice(TEMPLATES[subjects]).format(*names))
    return found
