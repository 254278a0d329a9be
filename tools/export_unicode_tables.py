#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/text/unicode_classes.c and src/text/unicode_bare.c from what the `tokenizers` package does.

The Rust crates behind the package mix several Unicode versions (its categories are older than its lower case, its
decompositions lie between), so the tables are observed, code point by code point, and not taken from one standard.
usage: export_unicode_tables.py [SOURCE_DIR]      (needs tokenizers; run again when its behaviour changes)"""
import os
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
DROP, SPACE, PUNCT, MARK, CHINESE = 1, 2, 4, 8, 16
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic in unicode.c


def bert(**options):
    all_off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**all_off, **options}).normalize_str


def observe_flags():
    clean, chinese, strip = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True)
    nfd, split = normalizers.NFD().normalize_str, pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    flags = {}
    for code in CODE_POINTS:
        c, f = chr(code), 0
        words = [w for w, _ in split(f"a{c}b")]
        if clean(c) == "":
            f |= DROP
        if words == ["a", "b"]:
            f |= SPACE
        if words == ["a", c, "b"]:
            f |= PUNCT
        if nfd(c) == c and strip(c) == "":
            f |= MARK
        if chinese(c) != c:
            f |= CHINESE
        assert clean(c) in ("", c) or (clean(c) == " " and f & SPACE), hex(code)
        assert not f & SPACE or clean(c) in ("", " "), hex(code)
        flags[code] = f
    return flags


def observe_orders():
    """Canonical combining class, found by how NFD moves a code point past marks of known class."""
    import unicodedata

    nfd = normalizers.NFD().normalize_str
    first_of = {}
    for code in CODE_POINTS:
        order = unicodedata.combining(chr(code))
        if order and nfd(chr(code)) == chr(code) and (nfd("\u0345" + chr(code))[0] != "\u0345" or order == 240):
            first_of.setdefault(order, chr(code))
    orders = {}
    for code in CODE_POINTS:
        c = chr(code)
        moves = nfd("\u0345" + c) == c + "\u0345" or nfd(c + "\u0334") == "\u0334" + c
        if nfd(c) != c or (not moves and c not in first_of.values()):
            continue
        equal = [o for o, mark in first_of.items() if mark == c or nfd(c + mark) + nfd(mark + c) == c + mark + mark + c]
        assert len(equal) == 1, (hex(code), equal)
        orders[code] = equal[0]
    return orders


def observe_bare():
    strip = bert(strip_accents=True)
    return {c: strip(chr(c)) for c in CODE_POINTS if strip(chr(c)) not in ("", chr(c)) and c not in HANGUL}


def observe_emptied(flags):
    """What decomposes into marks alone: dropped as they are."""
    strip = bert(strip_accents=True)
    return [c for c in CODE_POINTS if strip(chr(c)) == "" and not flags[c] & MARK]


def observe_lower():
    lower = bert(lowercase=True)
    changed = {c: lower(chr(c)) for c in CODE_POINTS if lower(chr(c)) != chr(c)}
    assert [c for c in changed if len(changed[c]) > 1] == [0x130] and changed.pop(0x130) == "i\u0307"
    return {c: ord(l) - c for c, l in changed.items()}


def observe_words():
    """\\w of the regular expressions behind single_word."""
    tokenizer = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.add_tokens([AddedToken("<x>", single_word=True, normalized=False)])
    after = tokenizer.encode_batch(["<x>" + chr(c) for c in CODE_POINTS])
    before = tokenizer.encode_batch([chr(c) + "<x>" for c in CODE_POINTS])
    words = {}
    for code, right, left in zip(CODE_POINTS, after, before):
        assert (1 in right.ids) == (1 in left.ids), hex(code)
        words[code] = 1 not in right.ids
    return words


def to_ranges(values):
    """[(first, last, value)] of consecutive code points of equal value that is not 0; surrogates never join."""
    ranges = []
    for code in CODE_POINTS:
        value = values.get(code, 0)
        if not value or value == (0, 0):
            continue
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == value:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, value])
    return ranges


def to_case_ranges(deltas):
    """[(first, last, step, delta)]: every step-th code point from first to last is lowered by adding delta."""
    ranges, codes = [], sorted(deltas)
    for code in codes:
        if ranges:
            first, last, step, delta = ranges[-1]
            gap = code - last
            if delta == deltas[code] and gap <= 2 and (first == last or gap == step):
                ranges[-1] = [first, code, gap, delta]
                continue
        ranges.append([code, code, 1, deltas[code]])
    return ranges


def wrap(items):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > 100:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join(lines + [line])


HEAD = """// SPDX-License-Identifier: Apache-2.0
// Made by tools/export_unicode_tables.py from tokenizers %s: do not edit.
// %s
#include "text/unicode.h"

// clang-format off
"""


def main(source):
    flags, orders, words = observe_flags(), observe_orders(), observe_words()
    orders.update({c: 240 for c in observe_emptied(flags)})  # any class but 0: they begin no run
    for code in observe_emptied(flags):
        flags[code] |= MARK
    classes = to_ranges({c: (flags[c], orders.get(c, 0)) for c in CODE_POINTS})
    with open(f"{source}/src/text/unicode_classes.c", "w", encoding="ascii") as out:
        out.write(HEAD % (tokenizers.__version__, "What every code point is, as ranges; unicode.h says what the fields mean."))
        rows = wrap(f"{{{a:#x}, {b:#x}, {f}, {o}}}" for a, b, (f, o) in classes)
        out.write(f"const wb_unicode_class wb_unicode_classes[] = {{\n{rows}\n}};\n")
        out.write(f"const size_t wb_unicode_n_classes = {len(classes)};\n\n")
        rows = to_ranges(words)
        out.write(f"const wb_unicode_range wb_unicode_words[] = {{\n{wrap(f'{{{a:#x}, {b:#x}}}' for a, b, _ in rows)}\n}};\n")
        out.write(f"const size_t wb_unicode_n_words = {len(rows)};\n\n")
        rows = to_case_ranges(observe_lower())
        text = wrap(f"{{{a:#x}, {b:#x}, {s}, {d}}}" for a, b, s, d in rows)
        out.write(f"const wb_unicode_case wb_unicode_cases[] = {{\n{text}\n}};\n")
        out.write(f"const size_t wb_unicode_n_cases = {len(rows)};\n")
    bare = observe_bare()
    with open(f"{source}/src/text/unicode_bare.c", "w", encoding="ascii") as out:
        about = "Canonical decompositions without their nonspacing marks: U+00E9 is U+0065."
        out.write(HEAD % (tokenizers.__version__, about))
        assert max(map(len, bare.values())) <= 3
        text = wrap(f"{{{c:#x}, {{{', '.join(hex(ord(x)) for x in b)}}}}}" for c, b in sorted(bare.items()))
        out.write(f"const wb_unicode_bare wb_unicode_bares[] = {{\n{text}\n}};\n")
        out.write(f"const size_t wb_unicode_n_bares = {len(bare)};\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
