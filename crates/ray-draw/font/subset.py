"""Make raio-serif.ttf: the letters the pictures need, cut from Liberation Serif 2.1.5 (SIL Open Font License 1.1).

    python3 subset.py /usr/share/fonts/truetype/liberation2/LiberationSerif-Regular.ttf raio-serif.ttf

Needs fonttools. The licence reserves the name Liberation for the unmodified font, so the result is called Raio Serif.
"""

import sys

from fontTools import subset
from fontTools.ttLib import TTFont

RANGES = [
    (0x20, 0x7E), (0xA0, 0x17F),  # Latin
    (0x384, 0x3CE), (0x400, 0x45F),  # Greek, Cyrillic: Python names may use them
    (0x2010, 0x2015), (0x2018, 0x201E), (0x2020, 0x2022), (0x2026, 0x2026), (0x2030, 0x2030), (0x2032, 0x2033),
    (0x2039, 0x203A), (0x20AC, 0x20AC), (0x2190, 0x2193), (0x2212, 0x2212), (0x2248, 0x2248), (0x2260, 0x2265),
]

font = TTFont(sys.argv[1], recalcTimestamp=False)
options = subset.Options()
options.hinting = False  # drawn as outlines at twice the size: hints would only take room
options.layout_features = []
options.glyph_names = False
options.notdef_outline = True  # the box drawn for a letter that is not here
options.name_IDs = ["*"]
options.drop_tables += ["GPOS", "GSUB", "GDEF", "DSIG", "kern", "gasp", "FFTM"]
cutter = subset.Subsetter(options)
cutter.populate(unicodes=[u for first, last in RANGES for u in range(first, last + 1)])
cutter.subset(font)

names = font["name"]
original = {n: str(names.getDebugName(n)) for n in (0, 13, 14)}
names.names = []
for number, text in {
    0: original[0] + " Modified: a subset of Liberation Serif 2.1.5, renamed.",
    1: "Raio Serif",
    2: "Regular",
    3: "Raio Serif Regular, from version 2.1.5",
    4: "Raio Serif Regular",
    5: "Version 2.1.5",
    6: "RaioSerif-Regular",
    13: "Licensed under the SIL Open Font License, Version 1.1. See OFL.txt beside this file.",
    14: original[14],
}.items():
    names.setName(text, number, 3, 1, 0x409)
font["head"].modified = font["head"].created
font.save(sys.argv[2])
