"""Hydra configs of lookcast; a package, so that `pkg://lookcast.conf` finds them."""
