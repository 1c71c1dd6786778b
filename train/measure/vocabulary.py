"""Words that the prior takes for the right concept: synonyms of captions, and unseen words."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request
from train.world.concepts import CONCEPTS

SYNONYMS = 50
# the concept's noun: words of no caption
UNSEEN_TABLE = (
    "cat: tabby, feline; dog: terrier, poodle, canine; pig: hog; horse: stallion, mare; chicken: "
    "rooster; bee: bumblebee; sheep: ewe; fish: trout; monkey: chimpanzee; bat: vampire bat; "
    "spider: tarantula; robot: humanoid; alien: martian; ghost: phantom; hat: fedora, bowler; "
    "glasses: goggles; cake: muffin; bread: croissant; hamburger: cheeseburger; coffee: espresso; "
    "car: limousine, convertible; bus: minibus; truck: pickup; motorcycle: scooter; airplane: "
    "jet; boat: yacht, canoe; ship: cruise liner; helmet: football helmet; guitar: banjo; "
    "trumpet: bugle; backpack: knapsack; handbag: briefcase; clock: stopwatch; chair: armchair; "
    "couch: settee; telephone: cellphone; lamp: lantern; shirt: blouse; flower: tulip; tree: oak; "
    "castle: palace; house: cottage; church: cathedral"
)
UNSEEN = {
    word: noun
    for noun, words in (row.split(": ") for row in UNSEEN_TABLE.split("; "))
    for word in words.split(", ")
}


def synonyms(studio: Studio) -> dict[str, float]:
    """Share of words whose embedding at the beach is nearest (or in the top 5) to their noun's.

    "taught": the first synonyms of the concepts, which some captions hold; "unseen": others.
    """
    nouns = [concept.noun for concept in CONCEPTS]
    taught = {c.synonyms[0]: c.noun for c in CONCEPTS if c.synonyms}
    known = {word for c in CONCEPTS for word in (c.noun, *c.synonyms)}
    assert not known & set(UNSEEN), "captions hold an unseen word"

    def predict(words: Sequence[str]) -> Tensor:
        rows = [studio.embed(Request(f"a {word} on the beach"), prior_seed=0)[0] for word in words]
        return torch.stack(rows)

    gallery = predict(nouns)
    mean = gallery.mean(0)
    gallery = F.normalize(gallery - mean, dim=1)
    result = {}
    for name, noun_of in (("taught", taught), ("unseen", UNSEEN)):
        words = list(noun_of)[:SYNONYMS]
        cosines = F.normalize(predict(words) - mean, dim=1) @ gallery.T
        meant = torch.tensor([nouns.index(noun_of[word]) for word in words])
        hits = cosines.topk(5).indices == meant[:, None]  # (words, 5)
        result[f"synonyms_{name}_top1"] = float(hits[:, 0].double().mean())
        result[f"synonyms_{name}_top5"] = float(hits.any(1).double().mean())
    return result
