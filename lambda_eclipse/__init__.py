"""λ-ECLIPSE: multi-subject personalized text-to-image generation in CLIP's latent space."""

__version__ = "0.1.0"
