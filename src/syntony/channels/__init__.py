"""Channels: from transmitted to received symbols."""
