"""BLIP-2, Grounding DINO and SAM, small and random, from their own configuration classes.

They stand in folders as their published versions do, so that the pipeline loads them by path. What
they say is nonsense, but equal for equal pictures: each caption of CAPTIONS is one token of the
caption model, which picks one by its random weights.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    PreTrainedTokenizerFast,
    SamConfig,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

CAPTIONS = (
    "a black cat wearing a red hat on the beach",
    "two dogs and a teddy bear",
    "it is raining",
    "a green bottle next to a brown dog",
    "a tower",
    "a boat, a candle and a vase",
)


def build(root: Path, seed: int = 0) -> dict[str, str]:
    """Saves the three models below `root`; returns their folders by option."""
    folders = {}
    for name, make in (("caption", captioner), ("box", box_finder), ("mask", mask_finder)):
        torch.manual_seed(seed)
        model, processor = make(root)
        folder = root / name
        model.eval().save_pretrained(folder)
        processor.save_pretrained(folder)
        folders[f"{name}_model"] = str(folder)
    return folders


def captioner(root: Path) -> tuple[Blip2ForConditionalGeneration, Blip2Processor]:
    """BLIP-2 with T5, 28 px, captions of one token."""
    words = ["<pad>", "</s>", "<unk>", "<image>", *CAPTIONS]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    small = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = Blip2Config(
        vision_config={**small, "image_size": 28, "patch_size": 14, "initializer_range": 0.5},
        qformer_config={**small, "cross_attention_frequency": 1, "initializer_range": 0.5},
        text_config={
            "model_type": "t5",
            "vocab_size": len(words),
            "d_model": 32,
            "d_kv": 16,
            "d_ff": 32,
            "num_layers": 1,
            "num_heads": 2,
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "tie_word_embeddings": False,
        },
        num_query_tokens=4,
        image_token_index=3,
    )
    model = Blip2ForConditionalGeneration(config)
    with torch.no_grad():  # let pictures differ in what is said of them, and something be said
        model.query_tokens.normal_()
        model.language_projection.weight.normal_()
        model.language_model.lm_head.weight.normal_()[:4] = 0
    pixels = BlipImageProcessor(size={"height": 28, "width": 28})
    return model, Blip2Processor(pixels, fast, num_query_tokens=4)


def box_finder(root: Path) -> tuple[GroundingDinoForObjectDetection, GroundingDinoProcessor]:
    """Grounding DINO with Swin and BERT, about 64 px, six boxes."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "?", "'", "-"]
    vocabulary = [*marks, *letters, *(f"##{letter}" for letter in letters)]
    path = root / "vocab.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(vocabulary))
    tokenizer = BertTokenizer(str(path))
    config = GroundingDinoConfig(
        backbone_config=AutoConfig.for_model(
            "swin",
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_indices=[2, 3, 4],
        ),
        text_config=AutoConfig.for_model(
            "bert",
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
        ),
        num_queries=6,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,  # one has nothing to tie
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_n_points=2,
        decoder_n_points=2,
        disable_custom_kernels=True,
    )
    model = GroundingDinoForObjectDetection(config)
    pixels = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return model, GroundingDinoProcessor(pixels, tokenizer)


def mask_finder(root: Path) -> tuple[SamModel, SamProcessor]:
    """SAM at 64 px."""
    config = SamConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "num_pos_feats": 8,
            "mlp_dim": 16,
            "window_size": 2,
            "global_attn_indexes": [0],
            "initializer_range": 0.5,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": 64,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )
    model = SamModel(config)
    pixels = SamImageProcessor(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    return model, SamProcessor(pixels)
