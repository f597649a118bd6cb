"""`chat keys`: the keys that sign access tokens."""

import typer

from chat.auth import keys
from chat.commands.options import DataDir, settings_of, told

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _keys() -> None:
    """Rotate the keys that sign access tokens.

    Example: chat keys rotate --data-dir ./data
    """


@app.command()
def rotate(data_dir: DataDir = None) -> None:
    """Sign with a new key from now on; a running server takes it up by itself.

    The key before keeps verifying, so nobody is signed out; the one before that is dropped. Rotate twice, one access
    token's life apart, to be rid of a key.

    Example: chat keys rotate --data-dir ./data
    """
    settings = settings_of(data_dir=data_dir)
    with told(keys.KeysFault):
        live = keys.rotate(settings.data_dir / keys.FILE_NAME)
    print("signing with " + ", still verifying ".join(key.kid for key in live.signing))
