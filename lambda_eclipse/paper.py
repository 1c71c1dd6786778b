"""The paper's numbers, each with the place it stands in.

λ-ECLIPSE: Multi-Concept Personalized Text-to-Image Diffusion Models by Leveraging CLIP Latent
Space (arXiv 2402.05195). Imports nothing.
"""

# The prior (Appendix C, "Implementation Details").
NUM_LAYERS = 10
NUM_HEADS = 16
HEAD_DIM = 32
EMBED_DIM = 1280
ADDITIONAL_EMBEDDINGS = 4  # Canny, pooled text, noise, learned query

# Text features are 77 × 1280 (Sec. 3.2, "Image-text Interleaved Training").
TEXT_POSITIONS = 77

# Subjects in one training image: 1 to 4 (Appendix B, "Dataset Creation").
MAX_SUBJECTS = 4

# Weight of the contrastive term (Eq. 1; the value in Sec. 4.1, "Ablations", and Table 6).
LAMBDA = 0.2

# Training (Sec. 3.2, "Training and inference details"; the drop in Sec. 3.1).
CANNY_DROP = 0.01
LEARNING_RATE = 5e-5
BATCH_PER_GPU = 512
GPUS = 2
BATCH = BATCH_PER_GPU * GPUS
TRAINING_STEPS = 100_000
GPU_HOURS = 74

# Inference (Sec. 3.2, "Training and inference details").
DDIM_STEPS = 50
GUIDANCE = 7.5
IMAGES_PER_PROMPT = 4  # Sec. 4.1, "Quantitative comparison"

# CLIP's pictures (Sec. 3.2).
CLIP_IMAGE_SIZE_PX = 224

# Concept-specific finetuning of the decoder (Appendix D).
FINETUNE_LEARNING_RATE = 1e-5

# Filters of the data pipeline (Appendix B, "Dataset Creation").
BOX_THRESHOLD = 0.2
TEXT_THRESHOLD = 0.2
MIN_BOX_LOGIT = 0.3
MAX_BOXES = 8  # and at least one
MAX_IDENTICAL_OBJECTS = 6
BOX_ASPECT_RANGE = (0.08, 0.7)
MIN_MASK_SHARE = 0.4  # of the bounding box's area
MAX_WHITE_SHARE = 0.1  # of the picture's area
MIN_IMAGE_SIZE_PX = 1024

# Sizes of the training set (Appendix B, "Dataset Statistics"): images by number of subjects.
IMAGES_BY_SUBJECTS = {1: 1_479_785, 2: 432_831, 3: 65_597, 4: 11_910}
UNIQUE_SUBJECTS = 30_358
VALIDATION_SHARE = 0.2

# Dreambench (Table 2, λ-ECLIPSE* without finetuning) and with concept finetuning.
DREAMBENCH = {"DINO": 0.613, "CLIP-I": 0.783, "CLIP-T": 0.307}
DREAMBENCH_FINETUNED = {"DINO": 0.682, "CLIP-I": 0.796, "CLIP-T": 0.304}

# ConceptBed, Concept Confidence Deviation, lower is better (Table 3).
CONCEPTBED = {
    "concept replication": 0.2853,
    "concept alignment": 0.3619,
    "composition alignment": -0.0200,
}

# Multibench (Table 4), by number of subjects.
MULTIBENCH = {
    2: {"DINO": 0.4478, "CLIP-I": 0.7409, "CLIP-T": 0.3327},
    3: {"DINO": 0.3420, "CLIP-I": 0.6463, "CLIP-T": 0.3469},
}

# Canny-controlled generation on Dreambench (Table 5).
DREAMBENCH_CANNY = {"DINO": 0.5173, "CLIP-I": 0.7437, "CLIP-T": 0.3158}

# Ablations on ConceptBed (Table 6): (concept alignment, composition alignment), lower is better.
ABLATIONS = {
    "projection loss only (λ = 0)": (0.394, 0.008),
    "contrastive loss, λ = 0.5": (0.435, -0.043),
    "contrastive loss, λ = 0.2": (0.402, -0.026),
    "with edge conditions, λ = 0.2": (0.362, -0.020),
}
