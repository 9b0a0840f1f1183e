#!/usr/bin/env python3
"""Reader of the modules, definitions and paths of a Rust crate, for check_cycles.py.

It reads names, not types. A call of a method that another file's `impl` block defines is therefore not seen, and neither is a name
that a macro makes.
"""

import re

TOKEN = re.compile(
    r"""
      (?P<skip>\s+|//[^\n]*)
    | (?P<comment>/\*)
    | (?P<raw>b?c?r(?P<hashes>\#*)"(?:.|\n)*?"(?P=hashes))
    | (?P<string>[bc]?"(?:\\(?:.|\n)|[^"\\])*")
    | (?P<char>b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])')
    | (?P<lifetime>'\w+)
    | (?P<number>\d\w*(?:\.\d\w*)?)
    | (?P<name>(?:r\#)?[A-Za-z_]\w*)
    | (?P<sign>::|->|=>|.)
    """,
    re.VERBOSE,
)
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
MODIFIERS = {"unsafe", "async", "const", "default", "extern", "safe"}
DEFINERS = {"struct", "enum", "union", "trait", "type", "fn", "static", "const"}
UNTIL_SEMICOLON = {"type", "static", "const", "use"}
TEST = re.compile(r"cfg\((?:all\()?test\b")
PATH_IN_STRING = re.compile(r'"((?:\w+::)+\w+)"$')


class Module:
    """Module of a crate: its file, the names that it defines, imports or declares, and the paths that it uses."""

    def __init__(self, path, file, folder):
        self.path, self.file, self.folder = path, file, folder
        self.children = {}  # name -> modules; several where each has its own `cfg`
        self.defined = set()
        self.imports = {}  # name -> paths
        self.globs = []  # paths
        self.uses = []  # (path, line, kind): kind is "import", "export", "glob" or "path"
        self.words = set()  # names used outside of imports


def read_crate(root):
    """Reads the crate whose root file is `root`. Returns {module path: Module}."""
    modules = {}
    read_file(modules, (), root, root.parent)
    return modules


def read_file(modules, path, file, folder):
    module = modules[path] = Module(path, file, folder)
    Reader(modules, tokens_of(file.read_text(encoding="utf-8"))).module(module)


def tokens_of(text):
    """Splits the text into (kind, text, line), without comments."""
    found, at, line = [], 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        kind, end = match.lastgroup, match.end()
        if match.group("raw"):
            kind = "raw"
        if kind == "comment":
            end = end_of_comment(text, at)
        elif kind != "skip":
            found.append((kind, match.group().removeprefix("r#"), line))
        line += text.count("\n", at, end)
        at = end
    return found


def end_of_comment(text, at):
    depth = 0
    for match in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return at + match.end()
    return len(text)


class Reader:
    """Parser of one file's tokens."""

    def __init__(self, modules, tokens):
        self.modules, self.tokens, self.at = modules, tokens, 0

    def text(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at][1] if at < len(self.tokens) else ""

    def module(self, module):
        """Reads items until the module's end: the end of the file, or the closing brace of an inline module."""
        while self.at < len(self.tokens) and self.text() != "}":
            attributes, start = self.attributes(), self.at
            if TEST.search(attributes):
                self.skip_item()
                continue
            self.strings_of(module, attributes, start)
            is_public = self.visibility()
            if self.text() == "mod":
                self.submodule(module, attributes)
            elif self.text() == "use":
                self.use(module, is_public)
            else:
                self.define(module)
                start = self.at
                self.skip_item()
                end, self.at = self.at, start
                self.body(module, end)

    def attributes(self):
        """Skips attributes and returns their text without spaces."""
        texts = []
        while self.text() == "#" and (self.text(1) == "[" or (self.text(1), self.text(2)) == ("!", "[")):
            while self.text() != "[":
                self.at += 1
            start = self.at
            self.skip_group()
            texts.append("".join(text for _, text, _ in self.tokens[start + 1 : self.at - 1]))
        return " ".join(texts)

    def visibility(self):
        if self.text() != "pub":
            return False
        self.at += 1
        if self.text() == "(" and self.text(1) in {"crate", "super", "self", "in"}:
            self.skip_group()
        return True

    def submodule(self, module, attributes):
        name = self.text(1)
        self.at += 2
        siblings = module.children.setdefault(name, [])
        path = (*module.path, f"{name}#{len(siblings)}" if siblings else name)
        if self.text() == "{":
            self.at += 1
            inline = self.modules[path] = Module(path, module.file, module.folder / name)
            siblings.append(inline)
            self.module(inline)
            self.at += 1
            return
        self.at += 1
        named = re.search(r'path="([^"]+)"', attributes)
        choices = [module.file.parent / named.group(1)] if named else [module.folder / f"{name}.rs", module.folder / name / "mod.rs"]
        file = next((choice for choice in choices if choice.is_file()), None)
        if name == "tests" or file is None:
            return  # tests, or a file that a build script makes
        read_file(self.modules, path, file, file.parent if file.name == "mod.rs" else file.parent / file.stem)
        siblings.append(self.modules[path])

    def define(self, module):
        """Notes the name that the item at this place defines."""
        ahead = 0
        if (self.text(), self.text(1)) == ("macro_rules", "!"):
            module.defined.add(self.text(2))
        while self.text(ahead) in MODIFIERS and (self.text(ahead + 1) in MODIFIERS | DEFINERS or self.text(ahead) == "extern"):
            ahead += 1
            if self.text(ahead).startswith('"'):
                ahead += 1
        if self.text(ahead) in DEFINERS:
            name = self.text(ahead + 1)
            module.defined.add(self.text(ahead + 2) if name == "mut" else name)

    def skip_item(self):
        """Skips one item, field, variant or statement."""
        keyword = next((text for _, text, _ in self.tokens[self.at : self.at + 6] if text in DEFINERS | {"use", "mod", "impl"}), "")
        if (self.text(1) if self.text() == "const" else "") in MODIFIERS | {"fn"}:
            keyword = "fn"
        while self.at < len(self.tokens) and self.text() not in CLOSE:
            text = self.text()
            if text in OPEN:
                self.skip_group()
                if text == "{" and keyword not in UNTIL_SEMICOLON:
                    return
            else:
                self.at += 1
                if text == ";" or (text == "," and not keyword):
                    return

    def skip_group(self):
        depth = 0
        while self.at < len(self.tokens):
            depth += (self.text() in OPEN) - (self.text() in CLOSE)
            self.at += 1
            if depth == 0:
                return

    def body(self, module, end):
        """Notes the paths of an item's tokens."""
        while self.at < end:
            kind, text, line = self.tokens[self.at]
            if text == "#" and self.text(1) in {"[", "!"}:
                start = self.at
                attributes = self.attributes()
                if self.at == start:
                    self.at += 1
                elif TEST.search(attributes):
                    self.skip_item()
                else:
                    self.strings_of(module, attributes, start)
            elif text == "use" and self.text(1) != "<":
                self.use(module, False)
            elif kind == "name":
                self.path_at(module, line)
            elif text == "::" and self.text(-1) != ">":
                self.at += 2  # a path of another crate
            else:
                self.at += 1

    def path_at(self, module, line):
        after_dot = self.text(-1) == "."
        segments = [self.text()]
        self.at += 1
        while self.text() == "::" and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1][0] == "name":
            segments.append(self.text(1))
            self.at += 2
        if not after_dot:
            module.words.add(segments[0])
            if len(segments) > 1:
                module.uses.append((tuple(segments), line, "path"))

    def strings_of(self, module, attributes, start):
        """Notes the paths in strings of attributes, such as serde's `with`."""
        for text in re.findall(r'"[^"]*"', attributes):
            if match := PATH_IN_STRING.match(text):
                module.uses.append((tuple(match.group(1).split("::")), self.tokens[start - 1][2], "path"))

    def use(self, module, is_public):
        self.at += 1
        self.tree(module, (), is_public)
        self.at += 1  # the semicolon

    def tree(self, module, prefix, is_public):
        """Reads one tree of a `use` item, such as `a::{b, c as d, e::*}`."""
        path, line = prefix, self.tokens[self.at][2]
        if self.text() == "::" and not prefix:
            path = ("",)
        while True:
            if self.text() == "::":
                self.at += 1
            elif self.text() == "{":
                self.at += 1
                while self.text() != "}":
                    self.tree(module, path, is_public)
                    if self.text() == ",":
                        self.at += 1
                self.at += 1
                return
            elif self.text() == "*":
                self.at += 1
                module.globs.append(path)
                return module.uses.append((path, line, "glob"))
            else:
                path, line = (*path, self.text()), self.tokens[self.at][2]
                self.at += 1
                if self.text() != "::":
                    break
        if len(path) > 1 and path[-1] == "self":
            path = path[:-1]
        name = path[-1]
        if self.text() == "as":
            name = self.text(1)
            self.at += 2
        module.imports.setdefault(name, []).append(path)
        module.uses.append((path, line, "export" if is_public else "import"))
