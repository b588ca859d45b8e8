"""Families of plug-ins: writing the class is the registration, the name finds it.

    class Adaption(Registered, group="xbarsim.adaptions"):        # a family
        ...

    class Xbm(Adaption, name="xbm"):                              # a member; there is no list to edit
        ...

    Adaption.named("xbm")                                         # its class

Other people's packages join a family by an entry point of the family's group, whose name is the member's:
``[options.entry_points] xbarsim.adaptions = mine = my_package:Mine``. They are imported at the first look-up
of a name that no loaded class has; one that cannot be imported harms nobody until its name is asked for.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Self

from xbarsim.errors import InputError, XbarsimError, did_you_mean


class Registered:
    """Base of a family; a subclass with ``group`` starts a family, one with ``name`` joins it."""

    family: ClassVar[str] = ""
    """What the family is called in messages: its class name in small letters."""
    group: ClassVar[str] = ""
    """Entry point group in which other packages offer members."""
    name: ClassVar[str] = ""
    """The member's name; empty for the family itself and for helpers in between."""
    _members: ClassVar[dict[str, type[Any]]] = {}

    def __init_subclass__(cls, *, name: str = "", group: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        if Registered in cls.__bases__:
            cls.family, cls.group, cls._members = cls.__name__.lower(), group, {}
        cls.name = name
        if name:
            _join(cls, cls._members, cls.family)

    @classmethod
    def known(cls) -> list[str]:
        """Return the names of all members, other packages' included, sorted."""
        return sorted({*cls._members, *_offered(cls.group)})

    @classmethod
    def named(cls, name: str) -> type[Self]:
        """Return the member of that name, or raise :class:`InputError` listing the names there are."""
        if name not in cls._members:
            offers = _offered(cls.group)
            if name not in offers:
                names = cls.known()
                listed = ", ".join(names) or "none"
                raise InputError(f"no {cls.family} {name!r}; known: {listed}{did_you_mean(name, names)}")
            _load(offers[name], cls)
        return cls._members[name]


def _join(member: type[Registered], members: dict[str, type[Any]], family: str) -> None:
    other = members.get(member.name, member)
    if (other.__module__, other.__qualname__) != (member.__module__, member.__qualname__):
        both = " and ".join(f"{one.__module__}.{one.__qualname__}" for one in (other, member))
        raise XbarsimError(f"two {family} classes are named {member.name!r}: {both}; rename one")
    members[member.name] = member


def _offered(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)} if group else {}


def _load(point: EntryPoint, family: type[Registered]) -> None:
    """Import an offered member; its class statement registers it."""
    source = point.dist.name if point.dist else "an unknown distribution"
    offer = f"{family.family} {point.name!r}, offered by {source} as {point.value}"
    try:
        member = point.load()
    except Exception as reason:
        raise XbarsimError(f"{offer}, cannot be imported: {type(reason).__name__}: {reason}") from reason
    if not (isinstance(member, type) and issubclass(member, family)) or member.name != point.name:
        raise XbarsimError(f"{offer}, is not a {family.__name__} class with name={point.name!r}")
