"""Forms as dataclasses: one order of fields for widgets, handlers and endpoint parameters."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, field, fields
from functools import wraps
from itertools import islice
from typing import Any, Self, get_type_hints

from gradio.components import Component

HEADING = "Parameters:"


def parameter(about: str, default: Any = MISSING) -> Any:
    """A field of a form: one widget, and one parameter of endpoints with this description."""
    return field(default=default, metadata={"about": about})


def repeated(form: type["Form"], count: int) -> Any:
    """A field for `count` forms; their fields get the names `name_1`, `name_2`, …"""
    return field(default=(form(),) * count, metadata={"form": form, "count": count})


class Form:
    """Base of frozen dataclasses made of `parameter` and `repeated` fields."""

    @classmethod
    def described(cls) -> Iterator[tuple[inspect.Parameter, str]]:
        """The parameters in order, each with its description."""
        hints = get_type_hints(cls)
        for one in fields(cls):  # type: ignore[arg-type]
            if "form" in one.metadata:
                for number in range(1, one.metadata["count"] + 1):
                    for inner, about in one.metadata["form"].described():
                        name = f"{inner.name}_{number}"
                        yield inner.replace(name=name), about.format(number=number)
            else:
                default = inspect.Parameter.empty if one.default is MISSING else one.default
                yield (
                    inspect.Parameter(
                        one.name,
                        inspect.Parameter.POSITIONAL_OR_KEYWORD,
                        default=default,
                        annotation=hints[one.name],
                    ),
                    one.metadata["about"],
                )

    @classmethod
    def names(cls) -> list[str]:
        """The names of the parameters in order."""
        return [one.name for one, _ in cls.described()]

    @classmethod
    def widgets(cls, widgets: Mapping[str, Component]) -> list[Component]:
        """The widgets, by parameter name, in the order of the fields."""
        return [widgets[name] for name in cls.names()]

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> Self:
        """A form from the values of its parameters in order."""
        queue, arguments = iter(values), {}
        for one in fields(cls):  # type: ignore[arg-type]
            if "form" in one.metadata:
                form, count = one.metadata["form"], one.metadata["count"]
                width = len(form.names())
                arguments[one.name] = tuple(
                    form.from_values(list(islice(queue, width))) for _ in range(count)
                )
            else:
                arguments[one.name] = next(queue)
        return cls(**arguments)

    def to_values(self, **changes: Any) -> list[Any]:
        """The values of all parameters in order, with `changes` by name."""
        values: list[Any] = []
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if "form" in one.metadata:
                values += [inner for form in value for inner in form.to_values()]
            else:
                values.append(value)
        named = dict(zip(self.names(), values, strict=True))
        return list((named | changes).values())


def takes_form(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a handler's parameter `form` by the parameters of its form, in their order.

    Gradio reads the names, defaults and types of an endpoint's parameters from the signature, and
    their descriptions from the docstring.
    """
    hints = get_type_hints(handler)
    form = hints.pop("form")
    described = dict(form.described())
    names = form.names()
    signature = inspect.signature(handler)
    parameters: list[inspect.Parameter] = []
    for one in signature.parameters.values():
        parameters += described if one.name == "form" else [one]
    signature = signature.replace(parameters=parameters)

    def bind(*values: Any, **named: Any) -> dict[str, Any]:
        bound = signature.bind(*values, **named)
        bound.apply_defaults()
        arguments = bound.arguments
        return {"form": form.from_values([arguments.pop(name) for name in names]), **arguments}

    @wraps(handler)
    def call(*values: Any, **named: Any) -> Any:
        return handler(**bind(*values, **named))

    @wraps(handler)
    def stream(*values: Any, **named: Any) -> Iterator[Any]:
        yield from handler(**bind(*values, **named))

    made: Any = stream if inspect.isgeneratorfunction(handler) else call
    about = "\n".join(f"{one.name}: {text}" for one, text in described.items())
    text, _, more = inspect.cleandoc(handler.__doc__ or "").partition(HEADING)
    made.__doc__ = f"{text.strip()}\n\n{HEADING}\n{about}\n{inspect.cleandoc(more)}"
    made.__signature__ = signature
    made.__annotations__ = hints | {one.name: one.annotation for one in described}
    return made
