"""Other sides to talk to: real local servers that speak a provider's protocol and can be told to misbehave."""
