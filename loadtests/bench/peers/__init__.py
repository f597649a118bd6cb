"""Other people's servers, doing the least they can: what the chat is measured beside."""
