"""λ-ECLIPSE: multi-subject personalized text-to-image generation in CLIP's latent space.

from lambda_eclipse import Request, Studio, Subject

studio = Studio.open()
[picture] = studio.generate(Request("a cat on the beach", (Subject("cat", "my_cat.jpg"),)))
picture.image.save("cat.png")
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Picture", "Request", "RequestError", "Sampling", "Studio", "Subject"]


def __getattr__(name: str) -> Any:
    """Import the Python interface on first use: `Studio` imports torch, which takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "pipeline" if name == "Studio" else "request"
    return getattr(import_module(f"lambda_eclipse.{module}"), name)
