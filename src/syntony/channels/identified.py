"""Base classes of the built-in channels: the id, validation, and another SNR."""

from typing import ClassVar, TypeVar

from jaxtyping import Array, Float

from syntony import identifiers
from syntony.config import replace_fields, validate

ChannelT = TypeVar("ChannelT", bound="BaseChannel")


class BaseChannel:
    """A channel that is defined by its id; its fields are the id's parameters."""

    NAME: ClassVar[str]
    """Name in the id, before the parameters."""

    differentiable = True
    is_black_box = False

    def check(self) -> None:
        validate(self)

    def __post_init__(self):
        self.check()

    @property
    def id(self) -> str:
        return identifiers.format_id(self.NAME, self)


class NoisyChannel(BaseChannel):
    """A channel that adds noise, at the SNR of its field `snr_db`."""

    def with_snr(self: ChannelT, snr_db: Float[Array, ""] | float) -> ChannelT:
        return replace_fields(self, snr_db=snr_db)


class NoiselessChannel(BaseChannel):
    """A channel that adds no noise."""

    snr_db = None

    def with_snr(self: ChannelT, snr_db: Float[Array, ""] | float) -> ChannelT:
        del snr_db
        return self
