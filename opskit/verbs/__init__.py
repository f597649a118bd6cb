"""One module per verb: reads the call, asks facts, makes a plan, executes it, reports. No rule lives here."""
