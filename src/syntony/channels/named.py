"""What all channels of our own share: a name, limits, and an SNR that may be moved."""

import dataclasses
from typing import Any, ClassVar, TypeVar, cast

from jaxtyping import Array, Float

from syntony import naming
from syntony.naming import Limits

Own = TypeVar("Own", bound="Named")


class Named:
    """A channel that an id describes in full; its fields are the parameters."""

    NAME: ClassVar[str]
    """What its id starts with."""
    LIMITS: ClassVar[Limits]
    """What its parameters may be."""

    differentiable = True
    opaque = False

    def check(self) -> None:
        naming.check(self, self.LIMITS)

    def __post_init__(self):
        self.check()

    @property
    def id(self) -> str:
        return naming.join(self.NAME, self)


class Noisy(Named):
    """A channel with noise, and a field `snr_db` that says how much."""

    def at(self: Own, snr_db: Float[Array, ""] | float) -> Own:
        return dataclasses.replace(cast(Any, self), snr_db=snr_db)


class Noiseless(Named):
    """A channel that changes a signal and adds no noise."""

    snr_db = None

    def at(self: Own, snr_db: Float[Array, ""] | float) -> Own:
        del snr_db
        return self
