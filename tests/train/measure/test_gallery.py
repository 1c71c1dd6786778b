"""The gallery of the page's examples."""

from fakes import SIDE_PX, FakeStudio

from lambda_eclipse.ui.widgets.examples import COMPOSE, EXPLORE
from train.measure.gallery import CELL_PX, PAIRS, inputs, paint


def test_every_example_is_painted() -> None:
    studio = FakeStudio()
    sheet = paint(studio, COMPOSE, EXPLORE)
    examples = (*COMPOSE, *EXPLORE)
    rows = -(-len(examples) // PAIRS)
    assert sheet.width >= 2 * PAIRS * CELL_PX and sheet.height >= rows * SIDE_PX
    asked = {(request.prompt, request.seed, len(request.subjects)) for request in studio.requests}
    for example in COMPOSE:
        assert (example.prompt, example.seed, len(example.subjects)) in asked
    for example in EXPLORE:
        assert (example.prompt, example.seed, 2) in asked
    assert studio.squares == len(EXPLORE)


def test_inputs_fill_one_cell() -> None:
    cells = [inputs(example) for example in (*COMPOSE, *EXPLORE)]
    assert {cell.size for cell in cells} == {(CELL_PX, CELL_PX)}
    empty = [cell.getextrema() == ((255, 255),) * 3 for cell in cells]
    assert empty == [not example.files() for example in (*COMPOSE, *EXPLORE)]
