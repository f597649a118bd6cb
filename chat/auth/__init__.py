"""Who someone is: passwords, keys and tokens, sessions, tickets."""
