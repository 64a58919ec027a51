"""Checks of the compared runs: errors, alarms above the table and warnings below it."""
