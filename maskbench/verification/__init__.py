"""Whether finished runs are what they say: every hash checked, and runs trained again from nothing."""
