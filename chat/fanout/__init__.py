"""Who listens on this node, and how what happened reaches them: outboxes, frames, feeds, the hub, the log follower."""
