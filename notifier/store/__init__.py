"""Everything kept: SQL per aggregate, the one commit, the bell."""
