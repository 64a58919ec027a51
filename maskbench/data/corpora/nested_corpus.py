"""A corpus named in the options of another corpus: its validation, and access to its builder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from maskbench.config.parsing.problems import shorten
from maskbench.data.corpus import Corpus, CorpusBuilder
from maskbench.errors import CorpusError
from maskbench.registry import CORPORA, did_you_mean

OUTERMOST: Final = "mixture"
"""The corpus that cannot be inside another one."""


@dataclass(frozen=True, slots=True)
class NestedCorpus:
    """A corpus inside another one."""

    name: str
    builder: type[CorpusBuilder]
    options: Any

    @classmethod
    def from_options(cls, described: Mapping[str, Any]) -> NestedCorpus:
        """Return the corpus that a checked option describes."""
        builder: type[CorpusBuilder] = CORPORA.lookup(described["name"])
        options = {key: value for key, value in described.items() if key != "name"}
        return cls(described["name"], builder, builder.Options.model_validate(options))

    def build(self, what: str) -> Corpus:
        """Build the corpus; `what` is its name in error messages.

        Raises:
            CorpusError: its data is missing or malformed.
        """
        try:
            return self.builder.build(self.options)
        except CorpusError as error:
            raise CorpusError(f"{what}: {error}") from error

    def split_names(self) -> list[str]:
        """Return the names of every split a run can be evaluated on."""
        return self.builder.split_names(self.options)

    def annotations(self) -> frozenset[str]:
        """Return the annotations of its splits."""
        return self.builder.annotations(self.options)

    def versions(self) -> list[Any]:
        """Return its name and the versions of its builders."""
        return [self.name, *self.builder.versions(self.options)]

    def inputs(self, role: str) -> dict[str, str]:
        """Return the sha256 of its input files by `<role>/<the file's own role>`."""
        return {f"{role}/{file}": sha256 for file, sha256 in self.builder.inputs(self.options).items()}


def main_test_split(split_names: Sequence[str]) -> str:
    """Return the main test split: `test` if there is one, else the first that is not `valid`."""
    return "test" if "test" in split_names else next(name for name in split_names if name != "valid")


def _checked(described: dict[str, Any], not_inside: frozenset[str]) -> dict[str, Any]:
    """Validate the description of a nested corpus and fill in its defaults."""
    if "name" not in described:
        raise _mistakes([InitErrorDetails(type="missing", loc=("name",), input=described)])
    name = described["name"]
    if not isinstance(name, str):
        raise _mistakes([InitErrorDetails(type="string_type", loc=("name",), input=name)])
    known = [corpus for corpus in CORPORA.names() if corpus not in not_inside]
    if name not in known:
        found = f"{name} cannot stand inside another corpus here" if name in not_inside else ""
        found = found or f"no corpus named {shorten(repr(name))}{did_you_mean(name, known)}"
        raise _mistakes([_words(f"{found} (known: {', '.join(known)})", "name", name)])
    options = {key: value for key, value in described.items() if key != "name"}
    allowed = CORPORA.lookup(name).Options.model_fields
    unknown = [key for key in options if key not in allowed]
    if unknown:
        known_keys = f"(allowed: name, {', '.join(allowed)})"
        raise _mistakes(
            _words(
                f"unknown key {shorten(repr(key))} of {name}{did_you_mean(key, allowed)} {known_keys}",
                key,
                options[key],
            )
            for key in unknown
        )
    checked = CORPORA.lookup(name).Options.model_validate(options)
    return {"name": name, **checked.model_dump(mode="json")}


def _words(message: str, key: str, value: Any) -> InitErrorDetails:
    """Return the error details for one key of a description."""
    error = PydanticCustomError("nested_corpus", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=(key,), input=value)


def _mistakes(details: Iterable[InitErrorDetails]) -> ValidationError:
    # Raised inside a validator, these errors keep their keys, so each is shown at the key it is about.
    return ValidationError.from_exception_data("corpus", list(details))


def _not(*names: str) -> AfterValidator:
    return AfterValidator(lambda described: _checked(described, frozenset(names)))


TaskCorpus: TypeAlias = Annotated[dict[str, Any], _not(OUTERMOST)]
"""A corpus as the value of an option, such as `{name: toydeen, pairs: 2000}`; any corpus but a mixture."""
PlainCorpus: TypeAlias = Annotated[dict[str, Any], _not(OUTERMOST, "denoise")]
"""The same for any corpus that is not made of other corpora."""
