"""The `chat` command line: what each verb is called; what it does is in `chat.commands`."""

import typer

from chat.commands import backup, doctor, key, migrate, serve, user

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
app.command("backup")(backup.make)
app.command("restore")(backup.restore)
app.command("doctor")(doctor.run)
app.add_typer(user.app, name="user")
app.add_typer(key.app, name="keys")


def main() -> None:
    """Run the command line."""
    app()
