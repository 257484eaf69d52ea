# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which mappings are a program as it was loaded, and which show a part of its file elsewhere."""

from __future__ import annotations

from vmad.blame.images import Images
from vmad.blame.mapped_files import mappings_of

#: node 20 with its builtins mapped again beside its compiled code, libc twice (dlmopen), a file of
#: data, and the program mapped once more to be read
MAPS = """\
00400000-00b6f000 r--p 00000000 fe:00 26                             /usr/bin/node
00b72000-025fe000 r-xp 00772000 fe:00 26                             /usr/bin/node
0563a000-0563e000 r--p 05239000 fe:00 26                             /usr/bin/node
0563e000-0565d000 rw-p 0523d000 fe:00 26                             /usr/bin/node
0565d000-05690000 rw-p 00000000 00:00 0                              [heap]
7fa880000000-7fa88bd6d000 rwxp 00000000 00:00 0
7fa8abe40000-7fa8abfd2000 r-xp 014c4000 fe:00 26                     /usr/bin/node
7fa8b0000000-7fa8b0100000 r--p 00000000 fe:00 26                     /usr/bin/node
7fa8b1000000-7fa8b1100000 r--p 00000000 fe:00 30                     /var/lib/data
7fa8b2000000-7fa8b2028000 r--p 00000000 fe:00 27                     /lib/libc.so.6
7fa8b2028000-7fa8b21bd000 r-xp 00028000 fe:00 27                     /lib/libc.so.6
7fa8b21bd000-7fa8b21c1000 r--p 001bd000 fe:00 27                     /lib/libc.so.6
7fa8b3000000-7fa8b3028000 r--p 00000000 fe:00 27                     /lib/libc.so.6
7fa8b3028000-7fa8b31bd000 r-xp 00028000 fe:00 27                     /lib/libc.so.6
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                      [vdso]
"""


def test_an_image_is_what_the_loader_made_and_nothing_that_lies_elsewhere() -> None:
    images = Images(mappings_of(MAPS)).all

    assert [(image.path, image.start, image.end) for image in images] == [
        ("/usr/bin/node", 0x400000, 0x565D000),
        ("/lib/libc.so.6", 0x7FA8B2000000, 0x7FA8B21C1000),
        ("/lib/libc.so.6", 0x7FA8B3000000, 0x7FA8B31BD000),
    ]


def test_code_that_is_mapped_again_is_told_as_what_the_loader_made() -> None:
    images = Images(mappings_of(MAPS))

    # 0x1000 into the copy: byte 0x14c5000 of the file
    assert images.as_loaded(0x7FA8ABE41000) == 0xB72000 + 0x14C5000 - 0x772000
    for same in (0xB72123, 0x7FA880000123, 0x7FA8B3028123, 0x7FA8ABFD2000, 0x1000):
        assert images.as_loaded(same) == same


def test_a_file_without_its_beginning_is_an_image_where_there_is_no_other() -> None:
    line = "00601000-00602000 r-xp 00001000 fe:00 30  /opt/packed\n"

    (image,) = Images(mappings_of(line)).all

    assert (image.path, image.start, image.end) == ("/opt/packed", 0x601000, 0x602000)
