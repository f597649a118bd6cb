"""The drill: a rehearsal of releases, incidents and repairs with the real commands, in a sandbox of its own."""
