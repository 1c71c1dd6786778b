"""The table of stacks: the right row for a machine, the hub's layout, readable errors."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_stack import DIM, FIXTURES, published, write_stack

from lambda_eclipse.manifest import write_manifest
from lambda_eclipse.models import Models, load
from lambda_eclipse.stacks import STACKS, choose, source_of
from lambda_eclipse.weights import WeightsError


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_stack(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def cuda(monkeypatch):
    """Pretend to have a CUDA card with so many GiB; 0 for none."""

    def pretend(gib: float, mps: bool = False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gib > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: int(gib > 0))
        card = SimpleNamespace(total_memory=int(gib * 2**30))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    "gib, mps, name, device, expected",
    [
        (0, False, "auto", "auto", ("pocket", "cpu")),
        (0, True, "auto", "auto", ("pocket", "mps")),
        (24, False, "auto", "auto", ("kandinsky", "cuda")),
        (7.6, False, "auto", "auto", ("kandinsky", "cuda")),
        (4, False, "auto", "auto", ("pocket", "cuda")),
        (24, False, "auto", "cpu", ("pocket", "cpu")),
        (24, False, "auto", "cuda:0", ("kandinsky", "cuda:0")),
        (4, False, "auto", "cuda", ("pocket", "cuda")),
        (24, False, "pocket", "auto", ("pocket", "cuda")),
        (0, False, "kandinsky", "auto", ("kandinsky", "cpu")),
        (4, False, "kandinsky", "auto", ("kandinsky", "cpu")),
        (0, False, "kandinsky", "cpu", ("kandinsky", "cpu")),
    ],
)
def test_choice(cuda, gib, mps, name, device, expected):
    cuda(gib, mps)
    stack, chosen = choose(name, device)
    assert (stack.name, str(chosen)) == expected


@pytest.mark.parametrize(
    "gib, name, device, message",
    [
        (0, "sdxl", "auto", "choose auto, pocket, kandinsky"),
        (0, "auto", "tpu", "choose auto, cpu, cuda, mps"),
        (0, "auto", "cuda:x", "no device"),
        (0, "auto", "cuda", "no CUDA card"),
        (24, "auto", "cuda:1", "no CUDA card"),
        (0, "pocket", "mps", "no Apple GPU"),
        (4, "kandinsky", "cuda", "7.5 GiB, this one has 4.0"),
    ],
)
def test_impossible_choices_name_a_way_out(cuda, gib, name, device, message):
    cuda(gib)
    with pytest.raises(ValueError, match=message):
        choose(name, device)


def test_the_table_names_the_published_repositories():
    row, hub = STACKS["kandinsky"], published()["hub"]
    assert row.decoder == hub["decoder"] and row.prior == hub["prior"]
    assert hub["text_encoder"].startswith(row.clip + " ")
    assert (row.steps, row.guidance) == (50, 7.5)
    assert all(name == stack.name for name, stack in STACKS.items())


def test_published_sizes_fit_each_other():
    """CLIP, prior and decoder of the kandinsky row all speak of embeddings of width 1280."""
    import open_clip

    from lambda_eclipse.clip import Clip
    from lambda_eclipse.prior import Prior, PriorConfig

    config = open_clip.get_model_config("ViT-bigG-14")
    with torch.device("meta"):
        model = open_clip.model.CLIP(**config)
        prior = Prior(PriorConfig())
    assert model.text_projection.shape == (1280, 1280) and model.visual.output_dim == 1280
    assert model.ln_final.weight.shape == (1280,) and config["vision_cfg"]["image_size"] == 224
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(2.54e9, rel=0.01)
    layout = json.loads((FIXTURES / "reference_prior_layout.json").read_text())
    assert "1280" in json.dumps(layout)
    assert prior.proj_to_clip_embeddings.weight.shape == (1280, 512)
    assert published()["unet"]["encoder_hid_dim"] == 1280
    assert Clip.from_folder and STACKS["kandinsky"].min_cuda_gib < 8


def test_sources_come_from_argument_environment_and_table(monkeypatch):
    row = STACKS["kandinsky"]
    assert source_of(row, "prior") == row.prior
    monkeypatch.setenv("LAMBDA_ECLIPSE_KANDINSKY_PRIOR", "/models/prior")
    assert source_of(row, "prior") == "/models/prior"
    assert source_of(STACKS["pocket"], "prior") == STACKS["pocket"].prior
    assert source_of(row, "prior", {"prior": "/other"}) == "/other"


def test_loading_in_the_hubs_layout(sources):
    said = []
    models = load(STACKS["kandinsky"], "cpu", said.append, sources=sources)
    assert said == ["reading CLIP", "reading the prior", "reading the decoder", "warming up"]
    assert models.clip.embed_dim == models.prior.config.embedding_dim == DIM
    assert models.decoder.native_size_px == 64 and not models.offload
    networks = (models.prior, models.decoder.pipeline.unet, models.decoder.pipeline.movq)
    for network in (models.clip.model, *networks):
        assert not network.training
        assert {p.dtype for p in network.parameters()} == {torch.float32}
        assert not any(p.requires_grad for p in network.parameters())


def test_environment_gives_the_folders(sources, monkeypatch):
    for part, folder in sources.items():
        monkeypatch.setenv(f"LAMBDA_ECLIPSE_POCKET_{part.upper()}", folder)
    models = load(STACKS["pocket"], "cpu")
    assert models.stack.name == "pocket" and models.clip.embed_dim == DIM


def test_half_precision_and_offload_on_a_small_card(sources, cuda, monkeypatch):
    """What would be asked of a card with 8 GiB, seen from the calls: there is none here."""
    from lambda_eclipse.clip import Clip
    from lambda_eclipse.decoder import Decoder
    from lambda_eclipse.prior import Prior

    calls = {}
    for cls in (Clip, Prior, Decoder):

        def spy(path, device, dtype, manifest=None, cls=cls, original=cls.from_folder, **more):
            calls[cls.__name__] = (str(device), dtype, more.get("offload", False))
            return original(path, "cpu", torch.float32, manifest)

        monkeypatch.setattr(cls, "from_folder", spy)
    monkeypatch.setattr(Models, "encoders", lambda models: nullcontext((models.clip, models.prior)))
    for gib, offload in ((8, True), (24, False)):
        cuda(gib)
        models = load(STACKS["kandinsky"], torch.device("cuda"), sources=sources)
        home = "cpu" if offload else "cuda"
        assert models.offload is offload
        assert calls["Clip"] == calls["Prior"] == (home, torch.float16, False)
        assert calls["Decoder"] == ("cuda", torch.float16, offload)


def test_encoders_come_and_go_with_offload():
    moves = []

    class Network:
        def __init__(self, name):
            self.name, self.device = name, torch.device("cpu")

        def to(self, device):
            self.device = torch.device(device)
            moves.append((self.name, str(device)))
            return self

    device = torch.device("meta")
    models = Models(
        Network("clip"), Network("prior"), None, STACKS["kandinsky"], device, offload=True
    )
    with pytest.raises(KeyError), models.encoders():
        with models.encoders():
            pass
        assert moves == [("clip", "meta"), ("prior", "meta")], "the inner block moves nothing"
        raise KeyError
    assert moves[2:] == [("clip", "cpu"), ("prior", "cpu")]


def test_shipped_sources_are_checked_and_others_are_not(sources, tmp_path, monkeypatch):
    for part, folder in sources.items():
        shutil.copytree(folder, tmp_path / part)
    manifest = write_manifest(tmp_path)
    row = replace(
        STACKS["pocket"],
        manifest=manifest,
        **{part: str(tmp_path / part) for part in sources},
    )
    load(row, "cpu")
    victim = tmp_path / "prior" / "config.json"
    victim.write_text(victim.read_text() + " ")
    with pytest.raises(WeightsError, match="config.json"):
        load(row, "cpu")
    load(row, "cpu", sources={"prior": sources["prior"]})


def test_parts_that_do_not_belong_together(sources, tmp_path):
    from lambda_eclipse.prior import Prior, PriorConfig

    Prior(PriorConfig(2, 8, 2, embedding_dim=32)).save(tmp_path)
    with pytest.raises(WeightsError, match="width 32, but CLIP gives 64"):
        load(STACKS["kandinsky"], "cpu", sources=sources | {"prior": str(tmp_path)})
