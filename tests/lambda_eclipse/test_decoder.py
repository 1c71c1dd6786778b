"""Pictures are a function of the request, bit for bit; full-size networks have the right form."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file
from small_stack import DIM, published, small_movq, small_unet, write_decoder

from lambda_eclipse.decoder import Cancelled, Decoder
from lambda_eclipse.manifest import write_manifest
from lambda_eclipse.networks import model_class
from lambda_eclipse.samplers import samplers
from lambda_eclipse.weights import WeightsError


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(small_unet(), small_movq(), published()["scheduler"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_decoder(tmp_path_factory.mktemp("hub") / "decoder")


def embeds(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed))


def paint(decoder, count=1, **changes):
    options = {"seeds": list(range(count)), "steps": 3, "guidance": 4.0, "batch_size": 4} | changes
    return decoder.paint(embeds(count), torch.zeros(1, DIM), **options)


def same(a, b) -> bool:
    return [p.tobytes() for p in a] == [p.tobytes() for p in b]


def test_one_picture_each_of_the_native_size(decoder):
    pictures = paint(decoder, 3, batch_size=2)
    assert decoder.native_size_px == 64 and decoder.factor == 8
    assert [(p.size, p.mode) for p in pictures] == [((64, 64), "RGB")] * 3
    assert len({p.tobytes() for p in pictures}) == 3


def test_the_same_call_gives_the_same_bits(decoder):
    assert same(paint(decoder, 3, batch_size=2), paint(decoder, 3, batch_size=2))
    assert not same(paint(decoder, 1), paint(decoder, 1, seeds=[9]))


def test_global_random_state_is_neither_used_nor_changed(decoder):
    torch.manual_seed(1)
    first, state = paint(decoder), torch.get_rng_state()
    torch.manual_seed(2)
    assert same(first, paint(decoder))
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


def test_a_picture_does_not_depend_on_the_rest_of_its_batch(decoder):
    """In batches of one shape bit for bit; a batch of another shape differs in rounding only."""
    both = decoder.paint(
        embeds(2), torch.zeros(1, DIM), seeds=[5, 6], steps=3, guidance=4.0, batch_size=2
    )
    swapped = decoder.paint(
        torch.stack([embeds(2)[0], embeds(1, seed=77)[0]]),
        torch.zeros(1, DIM),
        seeds=[5, 123],
        steps=3,
        guidance=4.0,
        batch_size=2,
    )
    assert same(both[:1], swapped[:1])
    alone = paint(decoder, 1, seeds=[5])
    difference = np.asarray(both[0]).astype(int) - np.asarray(alone[0])
    assert np.abs(difference).mean() < 0.2  # of 255; random networks blow rounding up


def test_starting_noise_belongs_to_its_seed(decoder):
    noise = decoder.starting_noise([3, 4, 3], 64)
    assert noise.shape == (3, 4, 8, 8)
    assert torch.equal(noise[0], noise[2]) and not torch.equal(noise[0], noise[1])
    assert torch.equal(decoder.starting_noise([4], 64)[0], noise[1])


def test_ddim_agrees_with_a_plain_loop(decoder):
    """The pipeline with our scheduler does what DDIM with guidance says, variance left out."""
    unet, guidance, steps = decoder.pipeline.unet, 4.0, 3
    config = published()["scheduler"]
    scheduler = DDIMScheduler(
        beta_start=config["beta_start"],
        beta_end=config["beta_end"],
        beta_schedule=config["beta_schedule"],
        clip_sample=False,
    )
    scheduler.set_timesteps(steps)
    latents = decoder.starting_noise([0], 64)
    with torch.no_grad():
        for t in scheduler.timesteps:
            noise = []
            for condition in (torch.zeros(1, DIM), embeds(1)):
                out = unet(latents, t, None, added_cond_kwargs={"image_embeds": condition}).sample
                noise.append(out[:, :4])
            mixed = noise[0] + guidance * (noise[1] - noise[0])
            latents = scheduler.step(mixed, t, latents).prev_sample
    [expected] = decoder._to_pictures(latents)
    [picture] = paint(decoder, 1, steps=steps, guidance=guidance)
    assert np.abs(np.asarray(expected).astype(int) - np.asarray(picture)).mean() < 0.2


def watched(sampler, scheduler: dict) -> list[tuple[torch.Tensor, ...]]:
    """Latents, U-Net's output, next latents, x₀, ᾱ, next ᾱ of each step at guidance 7.5."""
    painter, steps = Decoder(small_unet(), small_movq(), scheduler), []
    stepping = painter.samplers[sampler]
    original = type(stepping).step

    def step(output, time, latents, **options):
        following, x0 = original(stepping, output, time, latents, **options)
        alphas, [at] = stepping.alphas_cumprod, (stepping.timesteps == time).nonzero()[0].tolist()
        then = alphas[stepping.timesteps[at + 1]] if at < 4 else torch.ones(())
        steps.append((latents, output, following, x0, alphas[time], then))
        return following, x0

    stepping.step = step
    paint(painter, 2, steps=5, guidance=7.5, sampler=sampler)
    assert len(steps) == 5
    return steps


SAID = {"clip_sample": True, "steps_offset": 1, "set_alpha_to_one": False, "thresholding": True}


def test_ddim_keeps_x0_and_noise_consistent_at_every_step():
    """DDIM, Eq. 12, on latents that leave [−1, 1], whatever the file says of another sampler."""
    for latents, noise, following, x0, alpha, then in watched("ddim", published()["scheduler"]):
        assert x0.abs().max() > 1.5, "nothing to clip shows nothing"
        torch.testing.assert_close(alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise, latents)
        torch.testing.assert_close(then.sqrt() * x0 + (1 - then).sqrt() * noise, following)


def test_ddpm_draws_around_the_mean_of_its_clipped_x0():
    """DDPM, Eq. 7, with the file's clipping, and the variance between β̃ and β that is learned."""
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    drawn = [torch.randn(1, 4, 8, 8, generator=one) for one in generators]  # the starting noise
    for latents, output, following, x0, alpha, then in watched("ddpm", published()["scheduler"]):
        noise, learned = output.split(4, dim=1)
        plain = (latents - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        torch.testing.assert_close(x0, plain.clamp(-1, 1))
        beta = 1 - alpha / then
        mean = then.sqrt() * beta / (1 - alpha) * x0
        mean += (alpha / then).sqrt() * (1 - then) / (1 - alpha) * latents
        drawn = torch.cat([torch.randn(1, 4, 8, 8, generator=one) for one in generators])
        least, share = ((1 - then) / (1 - alpha) * beta).clamp(min=1e-20), (learned + 1) / 2
        spread = (0.5 * (share * beta.log() + (1 - share) * least.log())).exp()
        torch.testing.assert_close(following, mean + spread * drawn, rtol=1e-3, atol=1e-3)


def test_ddim_does_not_depend_on_what_a_file_says_of_another_sampler(decoder):
    silent = {k: v for k, v in published()["scheduler"].items() if k not in SAID}
    plain = Decoder(small_unet(), small_movq(), silent)
    told = Decoder(small_unet(), small_movq(), silent | SAID)
    how = {"steps": 5, "guidance": 7.5}
    assert same(paint(plain, **how), paint(told, **how))
    assert same(paint(told, **how), paint(decoder.with_unet(small_unet()), **how))


def test_ddpm_is_an_option_with_noise_of_each_pictures_own_seed(decoder):
    how = {"steps": 5, "sampler": "ddpm", "batch_size": 2}
    pictures = paint(decoder, 2, seeds=[5, 6], **how)
    assert same(pictures, paint(decoder, 2, seeds=[5, 6], **how))
    assert not same(pictures, paint(decoder, 2, seeds=[5, 6], steps=5, batch_size=2))
    other = paint(decoder, 2, seeds=[5, 7], **how)
    assert same(pictures[:1], other[:1]) and not same(pictures[1:], other[1:])
    assert same(paint(decoder.with_unet(small_unet()), 2, seeds=[5, 6], **how), pictures)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 20.0])
def test_with_and_without_guidance(decoder, guidance):
    assert paint(decoder, 2, guidance=guidance)[0].size == (64, 64)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_step_reports(decoder, steps):
    seen = []
    paint(decoder, 3, steps=steps, batch_size=2, on_step=seen.append)
    assert [i.step for i in seen] == 2 * list(range(1, steps + 1))
    assert {i.steps for i in seen} == {steps} and {i.total for i in seen} == {3}
    batches = [(i.index_of_batch_start, i.count) for i in seen]
    assert batches == [(0, 2)] * steps + [(2, 1)] * steps


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_every_number_of_steps_is_kept(sampler):
    """Rounding must not add a step: the requested number is what a user waits for."""
    for spacing in ("leading", "trailing"):
        scheduler = samplers({"timestep_spacing": spacing})[sampler]
        for steps in range(1, 251):
            scheduler.set_timesteps(steps)
            assert len(scheduler.timesteps) == steps and scheduler.timesteps.min() >= 0


def test_the_last_preview_is_the_picture(decoder):
    """With the last step the estimate of the finished latents and the latents are the same."""
    shown = []
    pictures = paint(decoder, 2, on_step=lambda info: shown.append(info.preview()) or True)
    assert len(shown) == 3 and all(len(one) == 2 for one in shown)
    assert same(shown[-1], pictures) and not same(shown[0], pictures)
    assert same(paint(decoder, 2), pictures), "looking changed the picture"


def test_previews_are_painted_on_demand_only(decoder, monkeypatch):
    calls = []
    original = decoder.pipeline.movq.decode
    monkeypatch.setattr(
        decoder.pipeline.movq, "decode", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    paint(decoder, 1, on_step=lambda info: None)
    assert len(calls) == 1


def test_cancelling(decoder):
    steps = []

    def stop_at_two(info):
        steps.append(info.step)
        return info.step < 2

    with pytest.raises(Cancelled):
        paint(decoder, 3, steps=9, batch_size=1, on_step=stop_at_two)
    assert steps == [1, 2]
    assert same(paint(decoder), paint(decoder)), "painting goes on after a cancel"


def test_errors_of_a_callback_are_not_swallowed(decoder):
    with pytest.raises(ZeroDivisionError):
        paint(decoder, on_step=lambda info: 1 / 0)


def test_other_sizes(decoder):
    assert paint(decoder, size_px=128)[0].size == (128, 128)
    with pytest.raises(ValueError, match="multiple of 64"):
        paint(decoder, size_px=100)


def test_unfitting_arguments(decoder):
    with pytest.raises(ValueError, match="2 seeds, 1 pictures"):
        paint(decoder, 1, seeds=[1, 2])
    with pytest.raises(ValueError, match="negative"):
        decoder.paint(embeds(1), torch.zeros(2, DIM), seeds=[0], steps=1, guidance=1, batch_size=1)


def test_nothing_is_printed(decoder, capfd):
    paint(decoder)
    assert capfd.readouterr() == ("", "")


def test_folder_in_the_hubs_layout(folder, decoder):
    loaded = Decoder.from_folder(folder, "cpu", torch.float32)
    assert same(paint(loaded, 2), paint(decoder, 2))


def test_half_precision_on_disk(folder, tmp_path):
    small_unet().half().save_pretrained(tmp_path / "unet")
    shutil.copytree(folder / "movq", tmp_path / "movq")
    shutil.copytree(folder / "scheduler", tmp_path / "scheduler")
    loaded = Decoder.from_folder(tmp_path, "cpu", torch.float32)
    assert loaded.pipeline.unet.dtype == torch.float32
    paint(loaded)


def test_manifest_is_checked(folder, tmp_path):
    root = tmp_path / "decoder"
    shutil.copytree(folder, root)
    manifest = write_manifest(root)
    Decoder.from_folder(root, manifest=manifest)
    weights = root / "movq" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsError, match="movq"):
        Decoder.from_folder(root, manifest=manifest)


def drop_tensor(root, name):
    path = root / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    del state[name]
    save_file(state, path, {"format": "pt"})


def change_config(root, **changes):
    path = root / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda root: (root / "unet" / "config.json").unlink(), "config.json is missing"),
        (lambda root: (root / "unet" / "config.json").write_text("{"), "config.json"),
        (lambda root: shutil.rmtree(root / "scheduler"), "scheduler_config.json is missing"),
        (
            lambda root: (root / "movq" / "diffusion_pytorch_model.safetensors").unlink(),
            "safetensors is missing",
        ),
        (
            lambda root: (root / "movq" / "diffusion_pytorch_model.safetensors").write_bytes(b"x"),
            "not a readable",
        ),
        (lambda root: drop_tensor(root, "conv_out.bias"), "lacks conv_out.bias"),
        (lambda root: change_config(root, layers_per_block=2), "does not match"),
        (lambda root: change_config(root, encoder_hid_dim=32), "does not match"),
        (lambda root: change_config(root, addition_embed_type=None), "unknown"),
        (lambda root: change_config(root, _class_name="Evil"), 'no network class "Evil"'),
    ],
)
def test_damaged_folders_are_named(folder, tmp_path, damage, message):
    root = tmp_path / "decoder"
    shutil.copytree(folder, root)
    damage(root)
    with pytest.raises(WeightsError, match=message):
        Decoder.from_folder(root)


def test_full_size_networks_on_the_meta_device():
    """The published architecture: names, shapes and parameter counts, without 5 GB of memory."""
    config = published()
    with torch.device("meta"):
        unet = model_class(config["unet"]["_class_name"]).from_config(config["unet"])
        movq = model_class(config["movq"]["_class_name"]).from_config(config["movq"])
    counts = [sum(p.numel() for p in model.parameters()) for model in (unet, movq)]
    assert counts[0] == pytest.approx(1.25e9, rel=0.01)
    assert counts[1] == pytest.approx(68e6, rel=0.01)
    shapes = {name: tuple(tensor.shape) for name, tensor in unet.state_dict().items()}
    assert shapes["conv_in.weight"] == (384, 4, 3, 3)
    assert shapes["conv_out.weight"] == (8, 384, 3, 3)
    assert shapes["encoder_hid_proj.image_embeds.weight"] == (768 * 32, 1280)
    assert shapes["add_embedding.image_proj.weight"] == (1536, 1280)
    assert shapes["mid_block.attentions.0.add_k_proj.weight"] == (1536, 768)
    assert not any(name.startswith("down_blocks.0.attentions") for name in shapes)
    shapes = {name: tuple(tensor.shape) for name, tensor in movq.state_dict().items()}
    assert shapes["quantize.embedding.weight"] == (16384, 4)
    assert shapes["post_quant_conv.weight"] == (4, 4, 1, 1)
    assert shapes["decoder.conv_out.weight"] == (3, 128, 3, 3)
    assert shapes["decoder.conv_norm_out.conv_y.weight"] == (128, 4, 1, 1)
    assert unet.config.sample_size * 2 ** (len(movq.config.block_out_channels) - 1) == 512


def test_offloaded_networks_paint_the_same(decoder):
    """On a small card networks move there while they run; here both places are the CPU."""
    offloaded = Decoder(small_unet(), small_movq(), published()["scheduler"], "cpu", offload=True)
    shown = []
    pictures = paint(offloaded, 2, on_step=lambda info: shown.append(info.preview()))
    assert same(pictures, paint(decoder, 2)) and len(shown) == 3
    with pytest.raises(Cancelled):
        paint(offloaded, on_step=lambda info: False)
    assert same(paint(offloaded, 2), pictures)


def test_pocket_networks_go_the_same_way(tmp_path, capfd):
    """Chosen by the name in their configuration; half precision on disk, v-prediction."""
    from lambda_eclipse.pocket.embedding import APPEARANCE, LAYOUT
    from lambda_eclipse.pocket.movq import PocketMOVQ
    from lambda_eclipse.pocket.tower import SEMANTIC
    from lambda_eclipse.pocket.unet import PocketUNet

    dim = SEMANTIC + LAYOUT + APPEARANCE
    unet = PocketUNet(block_out_channels=(32, 32, 64), cross_attention_dim=32, encoder_hid_dim=dim)
    unet.half().save_pretrained(tmp_path / "unet")
    PocketMOVQ().half().save_pretrained(tmp_path / "movq")
    scheduler = {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "clip_sample": False,
    }
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    capfd.readouterr()
    pocket = Decoder.from_folder(tmp_path)
    [picture] = pocket.paint(
        torch.ones(1, dim), torch.zeros(1, dim), seeds=[5], steps=3, guidance=4.0, batch_size=2
    )
    assert isinstance(pocket.pipeline.unet, PocketUNet)
    assert pocket.native_size_px == 128 and picture.size == (128, 128)
    assert capfd.readouterr() == ("", "")
