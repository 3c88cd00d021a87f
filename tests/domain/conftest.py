"""Settings of the property tests: no deadline, since a busy machine is not a defect."""

from hypothesis import settings

settings.register_profile("domain", deadline=None)
settings.load_profile("domain")
