"""What goes wrong in production, and what is learnt of it: the record, the assessment, the post-mortem, the actions."""
