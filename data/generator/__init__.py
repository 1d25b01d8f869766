"""Pythia8 events, a fast detector response, FastJet jets, and what is known of each jet."""
