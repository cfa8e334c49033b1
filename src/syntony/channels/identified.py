"""What all channels of our own share: a name, limits, and an SNR that may be moved."""

import dataclasses
from typing import Any, ClassVar, TypeVar, cast

from jaxtyping import Array, Float

from syntony import identifiers
from syntony.identifiers import Limits

ChannelT = TypeVar("ChannelT", bound="BaseChannel")


class BaseChannel:
    """A channel that an id describes in full; its fields are the parameters."""

    NAME: ClassVar[str]
    """What its id starts with."""
    LIMITS: ClassVar[Limits]
    """What its parameters may be."""

    differentiable = True
    is_black_box = False

    def check(self) -> None:
        identifiers.check_limits(self, self.LIMITS)

    def __post_init__(self):
        self.check()

    @property
    def id(self) -> str:
        return identifiers.format_id(self.NAME, self)


class NoisyChannel(BaseChannel):
    """A channel with noise, and a field `snr_db` that says how much."""

    def with_snr(self: ChannelT, snr_db: Float[Array, ""] | float) -> ChannelT:
        return dataclasses.replace(cast(Any, self), snr_db=snr_db)


class NoiselessChannel(BaseChannel):
    """A channel that changes a signal and adds no noise."""

    snr_db = None

    def with_snr(self: ChannelT, snr_db: Float[Array, ""] | float) -> ChannelT:
        del snr_db
        return self
