"""λ-ECLIPSE: multi-subject personalized text-to-image generation in CLIP's latent space.

from lambda_eclipse import Request, Studio, Subject

studio = Studio.open("pocket")
[picture] = studio.generate(Request("a cat on the beach", (Subject("cat", "my_cat.jpg"),)))
picture.image.save("cat.png")
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Request", "Studio", "Subject"]


def __getattr__(name: str) -> Any:
    """The Python interface, imported on first use: torch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lambda_eclipse import pipeline

    return getattr(pipeline, name)
