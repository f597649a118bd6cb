"""Repositories that are not as one would wish: one sentence, the right exit code, nothing changed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.opskit.repos import Ran, Repo, Repos


def refused(ran: Ran, code: int, *says: str) -> None:
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert all(word in ran.json["error"] + ran.json["remedy"] for word in says), ran.json
    assert ran.json["exit_code"] == code


def test_not_a_repository(repos: Repos) -> None:
    refused(Repo(repos.folder, repos.env).opskit("release", "--json"), 2, "not in a git repository", "git init")


def test_a_repository_git_refuses_is_not_told_as_none(repos: Repos) -> None:
    here = repos.empty()
    (here.path / ".git").rename(here.path / "elsewhere")
    here.write(".git", "gitdir: /nowhere\n")
    ran = Repo(here.write("sub/file", "").parent, here.env).opskit("release", "--json")
    refused(ran, 2, "git refuses to work in", "/nowhere", f"git -C {here.path} status")
    assert "git init" not in ran.err


def test_a_bare_repository(repos: Repos) -> None:
    refused(repos.bare().opskit("release", "--json"), 2, "bare")


def test_no_commit(repos: Repos) -> None:
    refused(repos.empty().opskit("release", "--json"), 3, "no commit")


def test_a_shallow_clone(repos: Repos) -> None:
    project = repos.project()
    Repo(repos.folder, repos.env).git("clone", "-q", "--depth", "1", f"file://{project.remote.path}", "shallow")
    shallow = Repo(repos.folder / "shallow", repos.env)
    shallow.git("remote", "set-branches", "origin", "*")
    shallow.git("fetch", "-q", "--depth", "1")
    before = shallow.refs()
    refused(shallow.opskit("release", "--json"), 3, "shallow", "--unshallow")
    assert shallow.refs() == before


def test_an_unreachable_remote(repos: Repos) -> None:
    here = repos.project().here
    here.git("remote", "set-url", "origin", str(repos.folder / "gone.git"))
    before = here.refs()
    refused(here.opskit("release", "--json"), 3, "origin", "gone.git")
    assert here.refs() == before


def test_a_remote_of_another_name(repos: Repos) -> None:
    here = repos.project().here
    here.git("remote", "rename", "origin", "upstream")
    refused(here.opskit("release", "--json"), 2, "remote", "upstream")


def test_no_develop(repos: Repos) -> None:
    project = repos.project()
    project.here.git("checkout", "-q", "main")
    project.here.git("branch", "-q", "-D", "develop")
    project.here.git("push", "-q", "origin", "--delete", "develop")
    refused(project.here.opskit("release", "--json"), 2, "tool.opskit.develop", "develop")


def test_no_main(repos: Repos) -> None:
    here = repos.project().here
    here.write("opskit.toml", 'main = "trunk"\n')
    refused(here.opskit("release", "--json"), 2, "tool.opskit.main", "trunk")


def test_a_version_file_without_the_key(repos: Repos) -> None:
    here = repos.project().here
    here.write("opskit.toml", 'version_files = ["version.json:package.version"]\n')
    refused(here.opskit("release", "--json"), 2, "version_files", "version.json:package.version")


def test_a_git_that_is_too_old(repos: Repos) -> None:
    here = repos.project().here
    tools = repos.folder / "tools"
    tools.mkdir()
    old = '[ "$1" = --version ] && { echo git version 2.30.1; exit; }\nexec /usr/bin/git "$@"\n'
    (tools / "git").write_text(f"#!/bin/sh\n{old}")
    (tools / "git").chmod(0o755)
    refused(here.opskit("release", "--json", env={"PATH": f"{tools}:/usr/bin:/bin"}), 3, "2.30.1", "2.38")


def test_no_git_at_all(repos: Repos) -> None:
    here = repos.project().here
    done = subprocess.run(
        [sys.executable, "-m", "opskit", "release"],
        cwd=here.path,
        env={"PATH": "/nowhere", "PYTHONPATH": str(Path(__file__).parents[3]), "HOME": str(repos.folder)},
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr.count("\n")) == (3, 2)
    assert "git is not installed" in done.stderr


def test_a_committer_git_does_not_know(repos: Repos) -> None:
    here = repos.project().here
    here.git("config", "user.useConfigOnly", "true")
    here.git("config", "user.email", "")
    before = here.refs()
    ran = here.opskit("release", "--json", env={"GIT_CONFIG_GLOBAL": os.devnull})
    refused(ran, 3, "user.email")
    assert here.refs() == before


def as_nobody() -> None:
    """Give up root's rights, once everything is imported that another user may not read."""
    import opskit.verbs.release  # noqa: F401 - imported while it may still be read

    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


@pytest.mark.parametrize("whose", ["work", "remote.git"])
def test_a_repository_the_user_may_not_write(repos: Repos, whose: str) -> None:
    if os.geteuid() != 0:
        lacking("only root can become another user", install="sudo make test")
    project = repos.project()
    here, before = project.here, project.here.refs()
    subprocess.run(["chmod", "-R", "a+rX", str(repos.folder)], check=True)
    if whose != "work":
        subprocess.run(["chown", "-R", "65534:65534", str(here.path)], check=True)
    for folder in repos.folder.parents:
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    rights = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    refused(here.opskit("release", "--json", env=rights, arm=as_nobody), 3)
    assert project.remote.refs() == before
    assert here.git("for-each-ref", "refs/heads", env=rights).count("\n") == 1


def test_a_dirty_submodule_does_not_matter(repos: Repos) -> None:
    project = repos.project()
    library = repos.empty("library")
    library.commit("feat: a library")
    here = project.here
    here.git("submodule", "add", "-q", str(library.path), "library")
    here.git("commit", "-q", "-m", "chore: a library")
    here.git("push", "-q", "origin", "develop")
    (here.path / "library" / "file-0.txt").write_text("dirty\n")
    before = here.status()
    ran = here.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert here.status() == before == " M library"


def test_nothing_is_ascii(repos: Repos) -> None:
    project = repos.project()
    here = project.here
    here.git("branch", "-q", "-m", "develop", "développement")
    here.git("push", "-q", "origin", "développement", ":develop")
    config = 'main = "main"\ndevelop = "développement"\ntag_prefix = "größe-"\nchangelog = "ÄNDERUNGEN.md"\n'
    here.commit(
        "feat: café ☕ für alle", {"opskit.toml": config, "ÄNDERUNGEN.md": "# Änderungen\n", "日本/語.txt": "x\n"}
    )
    here.git("commit", "-q", "--allow-empty", "-m", "fix: --upload-pack=touch <b>*bold*</b> `x`")
    latin = here.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "x")
    body = here.git("cat-file", "commit", latin).replace("\n\nx", "\nencoding ISO-8859-1\n\nfix: caf\udce9")
    odd = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=here.path,
        input=body.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=True,
    )
    here.git("reset", "-q", "--hard", odd.stdout.decode().strip())
    here.git("push", "-q", "origin", "HEAD")
    here.git("config", "user.name", "Łukasz 日本")
    ran = here.opskit("release", "1.1.0", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["tag"] == "größe-1.1.0"
    assert here.refs() == project.remote.refs()
    notes = here.show("main:ÄNDERUNGEN.md")
    assert "Café ☕ für alle" in notes
    assert "- Café\n" in notes + "\n"
    assert "--upload-pack=touch" in notes
    assert here.status() == ""


def test_a_detached_head_in_a_linked_work_tree(repos: Repos) -> None:
    project = repos.project()
    place = repos.folder / "linked"
    project.here.git("worktree", "add", "-q", "--detach", str(place), "main")
    linked = Repo(place, project.here.env)
    ran = linked.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert (linked.status(), project.here.status()) == ("", "")
    assert project.here.refs() == project.remote.refs()


@pytest.mark.parametrize("kind", ["submodule", "separate"])
def test_a_work_tree_whose_git_directory_is_elsewhere_is_brought_along(repos: Repos, kind: str) -> None:
    project = repos.project()
    around = repos.empty("around")
    if kind == "submodule":
        around.git("submodule", "--quiet", "add", "-b", "develop", str(project.remote.path), "inner")
    else:
        place = f"--separate-git-dir={repos.folder / 'elsewhere'}"
        around.git("clone", "-q", "-b", "develop", place, str(project.remote.path), "inner")
    inner = Repo(around.path / "inner", project.here.env)
    linked = Repo(repos.folder / "linked", project.here.env)
    ran = inner.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert (inner.status(), inner.rev("HEAD")) == ("", project.remote.rev("develop"))
    inner.git("worktree", "add", "-q", "--detach", str(linked.path))
    inner.commit("fix: two leaks")
    assert linked.opskit("release").code == 0
    assert linked.status() == ""
    if kind == "submodule":  # with --separate-git-dir git itself does not know from elsewhere where the files are
        assert (inner.status(), inner.rev("HEAD")) == ("", project.remote.rev("develop"))


def test_commits_and_tags_are_signed_where_git_is_configured_for_it(repos: Repos) -> None:
    project = repos.project()
    here = project.here
    key = repos.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    allowed = repos.folder / "allowed"
    allowed.write_text(f"zoe@example.org {key.with_suffix('.pub').read_text()}")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(allowed)),
        ("commit.gpgSign", "true"),
        ("tag.gpgSign", "true"),
    ):
        here.git("config", name, value)
    epoch = {"SOURCE_DATE_EPOCH": "1700200000"}
    planned = here.opskit("release", "--dry-run", "--json", env=epoch)
    ran = here.opskit("release", "--json", env=epoch)
    assert ran.code == 0, ran.err
    assert ran.json["refs"] == planned.json["refs"]
    here.git("verify-tag", "v1.1.0")
    here.git("verify-commit", "main")
    here.git("verify-commit", "develop")


def test_hooks_run_around_a_release_and_a_failing_one_stops_it(repos: Repos) -> None:
    log = repos.folder / "log"
    hooks = f'hooks = {{ pre_release = "echo pre $OPSKIT_TAG >> {log}", post_release = "echo post >> {log}; false" }}\n'
    project = repos.project()
    config = (project.here.path / "opskit.toml").read_text()
    project.here.write("opskit.toml", hooks.replace("echo pre", "exit 7; echo pre") + config)
    before = project.here.refs()
    ran = project.here.opskit("release", "--json")
    assert (ran.code, "exit code 7" in ran.json["error"]) == (1, True)
    assert project.here.refs() == project.remote.refs() == before
    project.here.write("opskit.toml", hooks + config)
    project.here.git("update-index", "--assume-unchanged", "opskit.toml")
    done = project.here.opskit("release", "--json")
    assert done.code == 0, done.err
    assert log.read_text() == "pre v1.1.0\npost\n"


@pytest.mark.parametrize(
    "call",
    [
        ["release", "--prepare", "--pre", "rc"],
        ["release", "--continue", "--abort"],
        ["ci", "-x"],
        ["release", ""],
        ["release", "--pre", " "],
        ["deploy", ""],
    ],
)
def test_calls_that_contradict_themselves_are_usage_faults(repos: Repos, call: list[str]) -> None:
    assert repos.project().here.opskit(*call).code == 2


@pytest.mark.parametrize("epoch", ["soon", "-5", "99999999999999"])
def test_a_moment_that_is_none_is_a_usage_fault(repos: Repos, epoch: str) -> None:
    here = repos.project().here
    ran = here.opskit("release", "--json", env={"SOURCE_DATE_EPOCH": epoch})
    assert (ran.code, epoch in ran.json["error"]) == (2, True)
    assert here.opskit("status", "--json").json["operation"] is None
