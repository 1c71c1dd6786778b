"""Subject embeddings in the place of their nouns."""

import pytest
import torch

from lambda_eclipse.interleave import per_mention, swap

D = 6


def test_swap_replaces_spans_and_nothing_else() -> None:
    states = torch.randn(2, 9, D)
    before = states.clone()
    cat, dog, hat = torch.randn(3, D)
    new = swap(states, [[(1, 2), (4, 7)], [(8, 9)]], [torch.stack([cat, dog]), hat[None]])
    assert torch.equal(states, before)
    expected = states.clone()
    expected[0, 1] = cat
    expected[0, 4:7] = dog
    expected[1, 8] = hat
    assert torch.equal(new, expected)


def test_a_subject_takes_the_place_of_all_its_mentions() -> None:
    states, (cat, hat) = torch.randn(1, 9, D), torch.randn(2, D)
    given = per_mention([[(1, 2), (4, 6)], [(7, 8)]], torch.stack([cat, hat]), [1.0, 0.5])
    new = swap(states, *given)
    expected = states.clone()
    expected[0, 1] = expected[0, 4] = expected[0, 5] = cat
    expected[0, 7] = torch.lerp(states[0, 7], hat, 0.5)
    assert torch.equal(new, expected)
    assert torch.equal(swap(states, *per_mention([], torch.empty(0, D), [])), states)


def test_rows_without_subjects_are_left_alone() -> None:
    states = torch.randn(2, 5, D)
    none = torch.empty(0, D)
    alone = swap(states, [[], []], [none, none])
    assert torch.equal(alone, states) and alone.data_ptr() != states.data_ptr()
    new = swap(states, [[], [(0, 1)]], [none, torch.ones(1, D)])
    assert torch.equal(new[0], states[0]) and torch.equal(new[1, 0], torch.ones(D))


def test_strength_moves_from_word_to_subject() -> None:
    states, subject = torch.randn(1, 5, D), torch.randn(1, D)

    def at(strength: float) -> torch.Tensor:
        return swap(states, [[(2, 4)]], [subject], [[strength]])[0, 2]

    assert torch.equal(at(0.0), states[0, 2])
    assert torch.equal(at(1.0), subject[0])
    torch.testing.assert_close(at(0.25), states[0, 2] + 0.25 * (subject[0] - states[0, 2]))
    torch.testing.assert_close(at(1.5), states[0, 2] + 1.5 * (subject[0] - states[0, 2]))


def test_gradients_reach_states_and_subjects() -> None:
    states = torch.randn(1, 4, D, requires_grad=True)
    subject = torch.randn(1, D, requires_grad=True)
    swap(states, [[(1, 3)]], [subject]).sum().backward()
    assert states.grad is not None and subject.grad is not None
    assert torch.equal(states.grad[0, :, 0], torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert torch.equal(subject.grad, torch.full((1, D), 2.0))


def test_embeddings_take_the_type_of_the_states() -> None:
    states = torch.zeros(1, 3, D, dtype=torch.float64)
    assert swap(states, [[(0, 1)]], [torch.ones(1, D)]).dtype == torch.float64


@pytest.mark.parametrize(
    ("spans", "embeddings", "message"),
    [
        ([[(1, 2)]], [torch.ones(1, D)], "1 lists of spans for 2 prompts"),
        ([[(1, 2)], []], [torch.ones(2, D), torch.ones(0, D)], "1 spans, 2 embeddings"),
        ([[(4, 6)], []], [torch.ones(1, D), torch.ones(0, D)], "outside the 5"),
        ([[(2, 2)], []], [torch.ones(1, D), torch.ones(0, D)], "empty"),
        ([[(1, 3), (2, 4)], []], [torch.ones(2, D), torch.ones(0, D)], "overlaps"),
        ([[(1, 2)], []], [torch.ones(1, D + 1), torch.ones(0, D)], "7 wide and text states 6"),
    ],
)
def test_arguments_that_do_not_fit(spans: list, embeddings: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        swap(torch.zeros(2, 5, D), spans, embeddings)
