"""A request with two subjects, drawn here."""

from PIL import Image, ImageDraw

from lambda_eclipse.request import Request, Sampling, Subject


def photo(colour: str, shape: str = "ellipse") -> Image.Image:
    image = Image.new("RGB", (90, 60), "white")
    getattr(ImageDraw.Draw(image), shape)((20, 10, 60, 50), fill=colour)
    return image


CAT, HAT = Subject("cat", photo("orange")), Subject("hat", photo("navy", "rectangle"))
REQUEST = Request("a cat wearing a hat", (CAT, HAT), seed=7, sampling=Sampling(2))
