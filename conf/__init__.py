"""Hydra configs of lookcast; a package, so that Hydra finds them as `pkg://lookcast.conf`."""
