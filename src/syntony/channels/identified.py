"""Base classes of the built-in channels: the id, validation, and another SNR."""

from typing import ClassVar, TypeVar

from jaxtyping import Array, Float

from syntony import identifiers
from syntony.channels.snr import replaced_snr_db
from syntony.config import replace_fields, validate

ChannelT = TypeVar("ChannelT", bound="BaseChannel")
NoisyChannelT = TypeVar("NoisyChannelT", bound="NoisyChannel")


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
    """A channel that adds noise, at the SNR of its field `snr_db`; none at ∞."""

    snr_db: float

    @property
    def id_with_snr(self) -> str:
        """The id, with the SNR even if that is the default."""
        return identifiers.format_id(self.NAME, self, always=("snr_db",))

    def with_snr(
        self: NoisyChannelT, snr_db: Float[Array, ""] | float
    ) -> NoisyChannelT:
        return replace_fields(self, snr_db=replaced_snr_db(self.snr_db, snr_db))


class NoiselessChannel(BaseChannel):
    """A channel that adds no noise."""

    snr_db = None

    def with_snr(self: ChannelT, snr_db: Float[Array, ""] | float) -> ChannelT:
        del snr_db
        return self
