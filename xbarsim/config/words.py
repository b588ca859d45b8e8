"""Pydantic's complaints in the user's words, each at the place in the file that caused it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from xbarsim.config.scalars import describe
from xbarsim.config.schema import Wrong
from xbarsim.config.tree import Listing, Node, Place, Scalar, Table
from xbarsim.errors import Fault, did_you_mean

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "none_required": "nothing",
}
_ONE_OF = {"literal_error", "enum", "union_tag_invalid"}
_MISFIT = _ONE_OF | set(_WANTED)


@dataclass(frozen=True)
class _Complaint:
    """One pydantic error: the path in the tree, the union members it went through, and the error."""

    path: tuple[str, ...]
    members: tuple[tuple[int, str], ...]
    node: Node
    place: Place
    error: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.error["type"])

    @property
    def context(self) -> dict[str, Any]:
        return self.error.get("ctx") or {}


def explain(problem: ValidationError, tree: Table, model: type[BaseModel]) -> list[Fault]:
    """Return the faults of a failed validation of ``tree`` as ``model``."""
    errors = problem.errors(include_url=False)
    complaints = [_locate(error, tree) for error in errors]  # type: ignore[arg-type]
    return [_fault(group, model) for group in _per_place(complaints)]


def _locate(error: dict[str, Any], tree: Table) -> _Complaint:
    node: Node = tree
    path: list[str] = []
    members: list[tuple[int, str]] = []
    place = tree.place
    for step in error["loc"]:
        inside = _inside(node, step)
        if inside is None:
            members.append((len(path), str(step)))
            continue
        is_key = error["type"] == "extra_forbidden" and isinstance(node, Table)
        place = node.keys.get(str(step), inside.place) if is_key and isinstance(node, Table) else inside.place
        node = inside
        path.append(str(step))
    if error["type"] == "missing":
        path.append(members.pop()[1])
    return _aim(_Complaint(tuple(path), tuple(members), node, place, error))


def _inside(node: Node, step: str | int) -> Node | None:
    if isinstance(node, Table):
        return node.entries.get(str(step))
    if isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def _aim(complaint: _Complaint) -> _Complaint:
    """Let a :class:`Wrong` of a section's validator point at the key it names."""
    reason = complaint.context.get("error")
    if isinstance(reason, Wrong):
        key = reason.key
    elif complaint.kind == "union_tag_invalid":
        key = complaint.context["discriminator"].strip("'")
    else:
        return complaint
    node, place, path = complaint.node, complaint.place, complaint.path
    for step in key.split("."):
        path = (*path, step)
        node = _inside(node, int(step) if step.isdigit() else step) or node
        place = node.place
    return _Complaint(path, complaint.members, node, place, complaint.error)


def _per_place(complaints: Iterable[_Complaint]) -> Iterator[list[_Complaint]]:
    """Group what a union's members say about one value; only the members that fit its kind have a say."""
    unions: dict[tuple[tuple[str, ...], int], list[_Complaint]] = defaultdict(list)
    for complaint in complaints:
        if complaint.members:
            unions[complaint.path[: complaint.members[0][0]], complaint.members[0][0]].append(complaint)
        else:
            yield [complaint]
    for (path, _), group in unions.items():
        yield from _fitting(path, group)


def _fitting(path: tuple[str, ...], group: Sequence[_Complaint]) -> Iterator[list[_Complaint]]:
    by_member: dict[str, list[_Complaint]] = defaultdict(list)
    for complaint in group:
        by_member[complaint.members[0][1]].append(complaint)
    fitting = [said for said in by_member.values() if not all(_misfit(path, one) for one in said)]
    if fitting:
        yield from ([one] for one in min(fitting, key=len))
    else:
        yield [one for said in by_member.values() for one in said]


def _misfit(path: tuple[str, ...], complaint: _Complaint) -> bool:
    return complaint.path == path and complaint.kind in _MISFIT


def _fault(group: Sequence[_Complaint], model: type[BaseModel]) -> Fault:
    first = group[0]
    message = _choice(group) if len(group) > 1 else _message(first, model)
    return first.place.fault(message, ".".join(first.path))


def _choice(group: Sequence[_Complaint]) -> str:
    """Say what a value may be when every member of a union refuses it."""
    wanted = list(dict.fromkeys(_WANTED[one.kind] for one in group if one.kind in _WANTED))
    words = [word for one in group if one.kind in _ONE_OF for word in _words(one)]
    found = group[0].node
    hint = _hint(found, words)
    return f"expected {' or '.join([*wanted, *words])}, found {found.describe()}{hint}"


def _message(complaint: _Complaint, model: type[BaseModel]) -> str:
    kind, context = complaint.kind, complaint.context
    found = complaint.node.describe()
    if kind in _WANTED:
        return f"expected {_WANTED[kind]}, found {found}{_whole(kind, complaint.node)}"
    if kind in _ONE_OF:
        words = _words(complaint)
        return f"{_quoted(complaint.node)} is not one of {', '.join(words)}{_hint(complaint.node, words)}"
    if kind == "extra_forbidden":
        return f"unknown key{did_you_mean(complaint.path[-1], _known(model, complaint))}"
    if kind in _LIMITS:
        return _LIMITS[kind](found, context)
    if "error" in context:
        return str(context["error"])
    return _PLAIN.get(kind) or complaint.error["msg"][:1].lower() + complaint.error["msg"][1:]


_PLAIN = {"missing": "required key is missing", "finite_number": "not a finite number"}


_LIMITS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "greater_than_equal": lambda found, ctx: f"{found} is below the minimum {describe(ctx['ge'])}",
    "less_than_equal": lambda found, ctx: f"{found} is above the maximum {describe(ctx['le'])}",
    "greater_than": lambda found, ctx: f"{found} is not greater than {describe(ctx['gt'])}",
    "less_than": lambda found, ctx: f"{found} is not less than {describe(ctx['lt'])}",
    "multiple_of": lambda found, ctx: f"{found} is not a multiple of {describe(ctx['multiple_of'])}",
    "too_short": lambda found, ctx: f"{ctx['actual_length']} entries; at least {ctx['min_length']} are needed",
    "too_long": lambda found, ctx: f"{ctx['actual_length']} entries; at most {ctx['max_length']} are allowed",
    "string_too_short": lambda found, ctx: f"{found} is shorter than {ctx['min_length']} characters",
    "string_too_long": lambda found, ctx: f"{found} is longer than {ctx['max_length']} characters",
    "string_pattern_mismatch": lambda found, ctx: f"{found} does not match the pattern {ctx['pattern']}",
    "union_tag_not_found": lambda found, ctx: f"the key {ctx['discriminator']} is missing; it says which kind",
}


def _quoted(node: Node) -> str:
    text = node.value if isinstance(node, Scalar) else None
    return repr(text) if isinstance(text, str) else node.describe()


def _whole(kind: str, node: Node) -> str:
    """Offer the whole number where one was written as a decimal."""
    value = node.value if isinstance(node, Scalar) and kind.startswith("int") else None
    return f"; write {int(value)}" if isinstance(value, float) and value.is_integer() else ""


def _words(complaint: _Complaint) -> list[str]:
    expected = str(complaint.context.get("expected", complaint.context.get("expected_tags", "")))
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(", ")]


def _hint(node: Node, words: Sequence[str]) -> str:
    text = node.value if isinstance(node, Scalar) else None
    return did_you_mean(text, words) if isinstance(text, str) else ""


def _known(model: type[BaseModel], complaint: _Complaint) -> list[str]:
    """Return the keys of the section that a complaint is about."""
    sections = [model]
    members = {name for _, name in complaint.members}
    for step in complaint.path[:-1]:
        fields = [found for section in sections if (found := _field(section, step))]
        sections = [inner for found in fields for inner in _sections(found)] or sections
        sections = [section for section in sections if _is_member(section, members)] or sections
    return [field.alias or name for section in sections for name, field in section.model_fields.items()]


def _is_member(section: type[BaseModel], members: set[str]) -> bool:
    """Whether a union's member is this section, by its class or by the word that tells the members apart."""
    words = {word for field in section.model_fields.values() for word in get_args(field.annotation)}
    return section.__name__ in members or bool(members & {word for word in words if isinstance(word, str)})


def _field(section: type[BaseModel], key: str) -> Any:
    fields = section.model_fields.items()
    return next((field.annotation for name, field in fields if key in (name, field.alias)), None)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation can hold, through lists, mappings and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections(part)]
