"""The `chat` command line: what each verb is called; what it does is in `chat.commands`."""

import typer

from chat.commands import migrate, serve

app = typer.Typer(
    name="chat",
    help="A real-time chat server.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback()
def _chat() -> None:
    """A real-time chat server."""


app.command("serve")(serve.run)
app.command("migrate")(migrate.run)


def main() -> None:
    """Run the command line."""
    app()
