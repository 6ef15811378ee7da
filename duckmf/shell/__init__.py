"""`duckmf DB`: a SQL shell on a duckmf connection, interactive or for scripts."""
