"""Layers of Equinox, as it types them."""

from equinox.nn._conv import Conv2d as Conv2d
from equinox.nn._linear import Linear as Linear
from equinox.nn._mlp import MLP as MLP
from equinox.nn._rnn import LSTMCell as LSTMCell
