"""A GPU per call: the time follows the request, and jobs go to another process and back."""

import pickle

import pytest
from fakes import FakeStudio

from lambda_eclipse.ui.compose import jobs as compose_jobs
from lambda_eclipse.ui.explore import jobs as explore_jobs
from lambda_eclipse.ui.explore_form import SquareForm
from lambda_eclipse.ui.form import ComposeForm
from lambda_eclipse.ui.jobs import FinetunedDecoder
from lambda_eclipse.ui.lent_gpu import LONGEST_S, SHORTEST_S, seconds
from lambda_eclipse.ui.results import jobs as results_jobs
from lambda_eclipse.ui.teach import jobs as teach_jobs
from lambda_eclipse.ui.visit import Visit

SQUARE = SquareForm("pictures", steps=50)
CELLS = [(i, j) for i in range(5) for j in range(5)]


def test_the_time_follows_the_request():
    one, four = (ComposeForm("a cat", count=n, steps=50) for n in (1, 4))
    few = ComposeForm("a cat", count=1, steps=10)
    times = [seconds(compose_jobs.paint, (form,), "en") for form in (few, one, four)]
    assert times == sorted(set(times)) and all(SHORTEST_S <= s <= LONGEST_S for s in times)
    point = seconds(explore_jobs.paint_point, (SQUARE, 0.5, 0.5), "en")
    assert point < seconds(explore_jobs.paint_cells, (SQUARE, 5, CELLS), "en")
    lesson = teach_jobs.LessonForm(("a.png",), "cat", "a cat", 400)
    assert seconds(teach_jobs.teach, (lesson,), "en") > point


@pytest.mark.parametrize(
    "job, arguments",
    [
        (compose_jobs.paint, (ComposeForm("a cat", count=2, steps=5),)),
        (explore_jobs.paint_cells, (SQUARE, 5, CELLS)),
        (explore_jobs.paint_frames, (SQUARE, [(0.0, 0.5)])),
        (teach_jobs.teach, (teach_jobs.LessonForm(("a.png",), "cat", "a cat", 4),)),
        (results_jobs.vary, ()),
    ],
)
def test_jobs_and_their_arguments_pickle(job, arguments):
    assert pickle.loads(pickle.dumps((job, arguments))) == (job, arguments)


def test_a_visits_decoder_goes_with_its_job():
    visit = Visit()
    visit.set_decoder(FinetunedDecoder(FakeStudio().models.decoder, "digest", 3))
    visit.use_finetuned(True)
    job = pickle.loads(pickle.dumps(visit.job(number_of_steps)))
    assert job(FakeStudio(), None, 4) == ("digest", 4)


def number_of_steps(studio, run, argument):
    return studio.models.digests["decoder"], argument
